"""Config, tokenizer and weights of a base model."""

from dataclasses import asdict
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from workbench.distributed.policy import Policy
from workbench.models.attention import class_of, plain_attention, supported_attention
from workbench.models.base import Base
from workbench.models.checkpoint import note_new_weights
from workbench.models.dropout import with_dropout
from workbench.models.location import fingerprint, locate, or_refuse
from workbench.models.quantized import (
    TORCH_NAMES,
    allow_packing,
    as_arguments,
    check_installed,
    loading_options,
    quantize_empty,
    whole_modules,
)
from workbench.models.refusals import (
    check_family,
    check_tokenizer,
    refuse_adapter,
    refuse_missing_weights,
    refuse_padded_ends,
    refuse_quantized,
)
from workbench.recipe.schema import ModelSpec
from workbench.tasks import AnyTask


def load_config(spec: ModelSpec, task: AnyTask) -> Any:
    """The model's config with the task's labels; reads no weights.

    Raises:
        UsageError: when there is no such model here or on the Hub, its weights are quantised
            already, or it is of a family that cannot do the task.
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
    refuse_quantized(config, spec)
    check_family(config, spec, task)
    # A checkpoint's own half precision would make a plain load, which goes by the config, give
    # other logits.
    config.dtype = _dtype(spec)
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
    check_installed(spec)
    config = load_config(spec, task)
    tokenizer: Any = load_tokenizer(spec) if spec.resize_embeddings else None
    base = _base(spec, task, config, _on_meta(spec, task, config), tokenizer)
    base.loading = loading_options(spec, whole_modules(base, spec))
    quantize_empty(base.model, base.loading)
    return _with_new_tokens(base, spec)


def _on_meta(spec: ModelSpec, task: AnyTask, config: Any) -> PreTrainedModel:
    with torch.device("meta"):
        model: PreTrainedModel = _auto_class(task).from_config(
            config, **_options(spec, task, config)
        )
    return model


def fake_base(
    spec: ModelSpec, task: AnyTask, policy: Policy, tokenizer: PreTrainedTokenizerBase
) -> Base:
    """The model as ``load_base`` makes it for a training, without reading any weights.

    To be called where tensors hold no numbers (``costs.fake_tensors``), which this does not see
    to. The names of missing weights are not known, nor is the fingerprint.
    """
    check_installed(spec)
    config = load_config(spec, task)
    _name_inputs(tokenizer, task)
    options = _options(spec, task, config, policy.attention)
    model = _auto_class(task).from_config(with_dropout(config, policy.dropout), **options)
    base = _base(spec, task, config, model, tokenizer)
    base.loading = loading_options(spec, whole_modules(base, spec))
    quantize_empty(base.model, base.loading)
    return _with_new_tokens(base, spec)


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
    """Loads a fresh base for one run, with dropout and attention as the policy says.

    Its weights are those of a plain load, in what the recipe asks for; what training needs in
    other numbers is the trainer's to change (``FrozenWeights``).

    Args:
        tokenizer: the model's own, where it has been loaded before.
        layers: how many of the first layers are loaded; all by default.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    check_installed(spec)
    place = locate(spec)
    config = load_config(spec, task)
    if layers is not None:
        config.num_hidden_layers = min(layers, config.num_hidden_layers)
    tokenizer = tokenizer or load_tokenizer(spec)
    notes = _note_padding(tokenizer, config)
    if notes and task.spec.new_head and not task.per_position:
        refuse_padded_ends(tokenizer, spec)
    _name_inputs(tokenizer, task)
    options = _options(spec, task, config, policy.attention)
    whole: set[str] = set()
    if spec.quantization != "none":
        whole = whole_modules(
            _base(spec, task, config, _on_meta(spec, task, config), tokenizer), spec
        )
        options["device_map"] = {"": policy.device}
    options["config"] = with_dropout(config, policy.dropout)
    base = _load(spec, task, config, tokenizer, options, whole)
    if whole and not whole >= (needed := whole_modules(base, spec)):  # the checkpoint lacks parts
        base = _load(spec, task, config, tokenizer, options, whole | needed)
    base.notes = notes + base.notes
    config.architectures = [type(base.model).__name__]
    base.fingerprint = fingerprint(place, config)
    refuse_missing_weights(base, spec)
    allow_packing(base.model, False)
    return _with_new_tokens(base, spec)


def _load(
    spec: ModelSpec, task: AnyTask, config: Any, tokenizer: Any, options: Any, whole: set[str]
) -> Base:
    """A plain load of the weights; those of ``whole`` modules are not quantised."""
    place, told = locate(spec), loading_options(spec, whole)
    model, loading = or_refuse(
        lambda: _auto_class(task).from_pretrained(
            place.location,
            revision=place.revision,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
            **options | as_arguments(told),
        ),
        spec,
    )
    base = _base(spec, task, config, model, tokenizer)
    base.loading = told
    note_new_weights(base, loading)
    return base


def _auto_class(task: AnyTask) -> Any:
    return getattr(transformers, task.auto_class)


def _dtype(spec: ModelSpec) -> torch.dtype:
    found: torch.dtype = getattr(torch, TORCH_NAMES[spec.loaded_in])
    return found


def _options(
    spec: ModelSpec, task: AnyTask, config: Any, attention: str = "sdpa"
) -> dict[str, Any]:
    return {
        # Named always, because a config may name an attention kernel of the Hub, which is code.
        "attn_implementation": supported_attention(class_of(task.auto_class, config), attention),
        "dtype": _dtype(spec),
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
