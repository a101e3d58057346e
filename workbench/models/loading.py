"""Config, tokenizer and weights of a base model."""

from copy import deepcopy
from dataclasses import asdict
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from workbench.distributed.policy import Policy
from workbench.models.attention import class_of, plain_attention, supported_attention
from workbench.models.base import Base
from workbench.models.checkpoint import note_new_weights
from workbench.models.location import fingerprint, locate, or_refuse
from workbench.models.refusals import (
    check_family,
    check_tokenizer,
    refuse_adapter,
    refuse_missing_weights,
    refuse_padded_ends,
)
from workbench.recipe.schema import ModelSpec
from workbench.tasks import AnyTask


def load_config(spec: ModelSpec, task: AnyTask) -> Any:
    """The model's config with the task's labels; reads no weights.

    Raises:
        UsageError: when there is no such model here or on the Hub, or it is of a family that
            cannot do the task.
    """
    place = locate(spec)
    refuse_adapter(place.location, spec)
    config = or_refuse(
        lambda: AutoConfig.from_pretrained(
            place.location,
            revision=place.revision,
            trust_remote_code=False,
            **task.head_config(),
        ),
        spec,
    )
    check_family(config, spec, task)
    # What is computed with and exported is fp32; a checkpoint's own half precision would make
    # a plain load, which goes by the config, give other logits.
    config.dtype = torch.float32
    return config


def plain_config(spec: ModelSpec) -> Any:
    """The model's config as it is published.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    place = locate(spec)
    return or_refuse(
        lambda: AutoConfig.from_pretrained(
            place.location, revision=place.revision, trust_remote_code=False
        ),
        spec,
    )


def embedding_rows(spec: ModelSpec) -> int | None:
    """Rows of the model's word embedding, from its config; None where they grow with the tokenizer.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    if spec.resize_embeddings:
        return None
    return getattr(plain_config(spec).get_text_config(), "vocab_size", None)


def has_sdpa(spec: ModelSpec, auto_class: str) -> bool:
    """Whether the model's architecture has SDPA, from its config alone.

    True where the auto class knows no such model, which ``load_config`` refuses in words.
    """
    config = plain_config(spec)
    try:
        return plain_attention(class_of(auto_class, config)) == "sdpa"
    except ValueError:
        return True


def weights_fingerprint(spec: ModelSpec, task: AnyTask) -> str:
    """Names a base model's weights, without loading them: sha256 of the files, or the commit."""
    return fingerprint(locate(spec), load_config(spec, task))


def empty_base(spec: ModelSpec, task: AnyTask) -> Base:
    """The model with its exact shapes and no weights (meta device), to count parameters."""
    config = load_config(spec, task)
    with torch.device("meta"):
        model = _auto_class(task).from_config(config, **_options(task, config))
    tokenizer: Any = load_tokenizer(spec) if spec.resize_embeddings else None
    return _with_new_tokens(_base(spec, task, config, model, tokenizer), spec)


def fake_base(
    spec: ModelSpec, task: AnyTask, policy: Policy, tokenizer: PreTrainedTokenizerBase
) -> Base:
    """The model as ``load_base`` makes it for a training, without reading any weights.

    To be called where tensors hold no numbers (``costs.fake_tensors``), which this does not see
    to. The names of missing weights are not known, nor is the fingerprint.
    """
    config = load_config(spec, task)
    _name_inputs(tokenizer, task)
    model = _auto_class(task).from_config(
        _with_dropout(config, policy.dropout), **_options(task, config, policy.attention)
    )
    return _with_new_tokens(_base(spec, task, config, model, tokenizer), spec)


def load_tokenizer(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer, padding on the right; its end token pads where none other does.

    Raises:
        UsageError: when there is none, only a slow one, or one that cannot read or pad texts.
    """
    place = locate(spec)
    tokenizer = or_refuse(
        lambda: AutoTokenizer.from_pretrained(
            place.location, revision=place.revision, trust_remote_code=False
        ),
        spec,
        part="tokenizer",
    )
    check_tokenizer(tokenizer, spec)
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(
    spec: ModelSpec,
    task: AnyTask,
    policy: Policy,
    tokenizer: PreTrainedTokenizerBase | None = None,
    *,
    layers: int | None = None,
) -> Base:
    """Loads a fresh fp32 base for one run, with dropout and attention as the policy says.

    Weights are kept in fp32 and computed in the policy's precision by autocast: a half-precision
    head cannot be trained with PEFT (it upcasts adapters, not heads), and the exported numbers
    have to be those of a plain load.

    Args:
        tokenizer: the model's own, where it has been loaded before.
        layers: how many of the first layers are loaded; all by default.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    place = locate(spec)
    config = load_config(spec, task)
    if layers is not None:
        config.num_hidden_layers = min(layers, config.num_hidden_layers)
    tokenizer = tokenizer or load_tokenizer(spec)
    notes = _note_padding(tokenizer, config)
    if notes and task.spec.new_head and not task.per_position:
        refuse_padded_ends(tokenizer, spec)
    _name_inputs(tokenizer, task)
    model, loading = or_refuse(
        lambda: _auto_class(task).from_pretrained(
            place.location,
            revision=place.revision,
            config=_with_dropout(config, policy.dropout),
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **_options(task, config, policy.attention),
        ),
        spec,
    )
    config.architectures = [type(model).__name__]
    base = _base(spec, task, config, model, tokenizer)
    base.fingerprint, base.notes = fingerprint(place, config), notes
    note_new_weights(base, loading)
    refuse_missing_weights(base, spec)
    return _with_new_tokens(base, spec)


def _auto_class(task: AnyTask) -> Any:
    return getattr(transformers, task.auto_class)


def _options(task: AnyTask, config: Any, attention: str = "sdpa") -> dict[str, Any]:
    return {
        # Named always, because a config may name an attention kernel of the Hub, which is code.
        "attn_implementation": supported_attention(class_of(task.auto_class, config), attention),
        "dtype": torch.float32,
        "trust_remote_code": False,
    }


def _base(
    spec: ModelSpec, task: AnyTask, config: Any, model: PreTrainedModel, tokenizer: Any
) -> Base:
    return Base(
        model=model,
        tokenizer=tokenizer,
        config=config,
        **asdict(locate(spec)),
        new_head=task.spec.new_head,
    )


def _with_new_tokens(base: Base, spec: ModelSpec) -> Base:
    """The base with a word embedding for each token of its tokenizer, where the recipe asks so.

    New rows start as the mean of the others; a method has to train them.
    """
    rows = base.model.get_input_embeddings().weight.shape[0]
    if not spec.resize_embeddings or len(base.tokenizer) <= rows:
        return base
    base.model.resize_token_embeddings(len(base.tokenizer), mean_resizing=False)
    with torch.no_grad():
        for layer in (base.model.get_input_embeddings(), base.model.get_output_embeddings()):
            if layer is not None:
                layer.weight[rows:] = layer.weight[:rows].mean(dim=0)
    base.new_tokens = tuple(range(rows, len(base.tokenizer)))
    base.notes.append(
        f"{len(base.new_tokens)} tokens were added to the tokenizer: their word embeddings are new "
        "and trained"
    )
    base.count_parameters()
    return base


def _name_inputs(tokenizer: PreTrainedTokenizerBase, task: AnyTask) -> None:
    if task.model_inputs is not None:
        tokenizer.model_input_names = list(task.model_inputs)


def _note_padding(tokenizer: PreTrainedTokenizerBase, config: Any) -> list[str]:
    config.pad_token_id = tokenizer.pad_token_id
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        return []
    return [f"the tokenizer has no padding token: its end token {tokenizer.eos_token} pads"]


def dropouts(config: Any) -> dict[str, float]:
    """Every dropout probability of a config, by its key."""
    return {
        key: value
        for key, value in config.to_dict().items()
        if ("dropout" in key or key.endswith("pdrop"))
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    }


def _with_dropout(config: Any, dropout: float | None) -> Any:
    """A copy of the config in which every dropout probability is ``dropout``."""
    changed = deepcopy(config)
    for key in dropouts(config) if dropout is not None else ():
        setattr(changed, key, dropout)
    return changed
