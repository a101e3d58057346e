"""The base model and its tokenizer, loaded untouched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from workbench.assets import ASSETS, fetch
from workbench.devices import Policy
from workbench.errors import MethodError, UsageError
from workbench.recipe.schema import ModelSpec
from workbench.tasks import AnyTask

ASSET_PREFIX = "asset:"
PLAIN_ATTENTION = "sdpa"
"""What a plain ``from_pretrained`` uses, so what the test is scored with."""


@dataclass
class Base:
    """A pretrained model with the task's head on it, before any method has touched it."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    config: Any
    """The config to export: with labels, without what this run's policy changed."""
    location: str
    """Folder or Hub id that the weights were loaded from."""
    public_name: str
    """Hub id (or folder) by which another machine finds the same weights."""
    revision: str | None
    fingerprint: str
    """sha256 of the weights, or the Hub commit."""
    new_head: bool = True
    """Whether the task has put an untrained head on the model."""
    notes: list[str] = field(default_factory=list)
    missing: tuple[str, ...] = ()
    """Names of weights that the checkpoint does not have."""

    @property
    def head_names(self) -> tuple[str, ...]:
        """Names of the top-level modules that are the task's new head, e.g. ``("classifier",)``.

        A language model's own head is pretrained and belongs to the base, unless the checkpoint
        came without it, as BERTs that were made for sentence embeddings do: then it is new too,
        but for the output layer, which is the word embedding.
        """
        if not self.new_head:
            return ("transform",) if any(".transform." in name for name in self.missing) else ()
        backbone = self.model.base_model_prefix
        return tuple(
            name
            for name, module in self.model.named_children()
            if name != backbone and any(True for _ in module.parameters())
        )

    @property
    def parameter_count(self) -> int:
        """Parameters of the base with its head."""
        return sum(p.numel() for p in self.model.parameters())


@dataclass(frozen=True)
class _Place:
    location: str
    public_name: str
    revision: str | None


def _locate(spec: ModelSpec) -> _Place:
    if spec.source.startswith(ASSET_PREFIX):
        name = spec.source.removeprefix(ASSET_PREFIX)
        return _Place(str(fetch(name)), ASSETS[name].hub_id or name, None)
    path = Path(spec.source).expanduser()
    if path.is_dir():
        return _Place(str(path), str(path), None)
    return _Place(spec.source, spec.source, spec.revision)


def load_config(spec: ModelSpec, task: AnyTask) -> Any:
    """The model's config with the task's labels; reads no weights.

    Raises:
        UsageError: when there is no such model here or on the Hub, or it is of a family that
            cannot do the task.
    """
    place = _locate(spec)
    config = _or_refuse(
        lambda: AutoConfig.from_pretrained(
            place.location, revision=place.revision, **task.head_config()
        ),
        spec,
    )
    _check_family(config, spec, task)
    return config


def weights_fingerprint(spec: ModelSpec, task: AnyTask) -> str:
    """Names a base model's weights, without loading them: sha256 of the files, or the commit."""
    return _fingerprint(_locate(spec), load_config(spec, task))


def _check_family(config: Any, spec: ModelSpec, task: AnyTask) -> None:
    """Refuses a model that sees too much, or too little, for the task.

    An encoder fills in masked words and a decoder continues a text; transformers would load a
    BERT as a decoder with a warning only, and its perplexity would mean nothing.
    """
    family = "encoder" if type(config) in MODEL_FOR_MASKED_LM_MAPPING else "decoder"
    if family not in task.spec.families:
        raise UsageError(
            f"{spec.source} is an {family}"
            if family == "encoder"
            else f"{spec.source} is a decoder",
            where="model.source",
            why=f"{task.spec.name} needs a model of the {task.spec.families[0]} family",
            fix="take a GPT-style model, e.g. asset:smollm2-135m"
            if family == "encoder"
            else "take a BERT-style model, e.g. asset:minilm-l6",
        )


def build_empty(spec: ModelSpec, task: AnyTask) -> Base:
    """The model with its exact shapes and no weights (meta device), to count parameters."""
    place, config = _locate(spec), load_config(spec, task)
    with torch.device("meta"):
        model = getattr(transformers, task.auto_class).from_config(config)
    tokenizer: Any = None
    return Base(
        model,
        tokenizer,
        config,
        place.location,
        place.public_name,
        place.revision,
        "",
        new_head=task.spec.new_head,
    )


def load_tokenizer(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """The model's fast tokenizer, padding on the right; its end token pads where none other does.

    Raises:
        UsageError: when there is none, or only a slow one.
    """
    place = _locate(spec)
    tokenizer = _or_refuse(
        lambda: AutoTokenizer.from_pretrained(place.location, revision=place.revision), spec
    )
    if not tokenizer.is_fast:
        raise UsageError(
            f"the tokenizer of {spec.source!r} exists in its slow form only",
            where="model.source",
            why="the workbench needs a fast tokenizer to count cut texts and to cache tokens",
            fix="take a model that ships a tokenizer.json",
        )
    tokenizer.padding_side = "right"
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_base(spec: ModelSpec, task: AnyTask, policy: Policy) -> Base:
    """Loads a fresh fp32 base for one run, with dropout and attention as the policy says.

    Weights are kept in fp32 and computed in the policy's precision by autocast: a half-precision
    head cannot be trained with PEFT (it upcasts adapters, not heads), and the exported numbers
    have to be those of a plain load.

    Raises:
        UsageError: when there is no such model here or on the Hub.
    """
    place = _locate(spec)
    config = load_config(spec, task)
    tokenizer = load_tokenizer(spec)
    notes = _note_padding(tokenizer, config)
    # What is computed with and exported is fp32; a checkpoint's own half precision would make
    # a plain load, which goes by the config, give other logits.
    config.dtype = torch.float32
    if task.model_inputs is not None:
        tokenizer.model_input_names = list(task.model_inputs)
    model, loading = _or_refuse(
        lambda: getattr(transformers, task.auto_class).from_pretrained(
            place.location,
            revision=place.revision,
            config=_with_dropout(config, policy.dropout),
            attn_implementation=policy.attention,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        ),
        spec,
    )
    config.architectures = [type(model).__name__]
    base = Base(
        model,
        tokenizer,
        config,
        place.location,
        place.public_name,
        place.revision,
        _fingerprint(place, config),
        task.spec.new_head,
        notes,
        tuple(sorted(loading["missing_keys"])),
    )
    _refuse_missing_weights(base, spec)
    return base


def _refuse_missing_weights(base: Base, spec: ModelSpec) -> None:
    """Refuses a backbone that would start at random.

    transformers (5.23) reports weights that a checkpoint lacks and goes on. For a new head that is
    right; ``LlamaForQuestionAnswering`` finds none of its backbone, because it calls it by
    another name than the checkpoints do.
    """
    named = set(base.head_names)
    random = [
        name
        for name in base.missing
        # An output bias starts at zero, in a plain load as here.
        if not named.intersection(name.split(".")) and not name.endswith("predictions.bias")
    ]
    if random:
        raise UsageError(
            f"{spec.source} has no weights for {len(random)} parts of {type(base.model).__name__}, "
            f"e.g. {random[0]}",
            where="model.source",
            why="transformers would start them at random and only the task head may be new",
            fix="take another model for this task, or a checkpoint of that very architecture",
        )


def check_positions(base: Base, max_length: int, prompt_length: int) -> None:
    """Refuses texts and virtual tokens that together exceed the model's positions.

    Raises:
        MethodError: with the largest ``model.max_length`` that fits.
    """
    positions = getattr(base.config, "max_position_embeddings", None)
    if positions is None:
        return
    # RoBERTa counts positions from padding_idx + 1 on, so two of its 514 cannot be used.
    if base.config.model_type in {"roberta", "xlm-roberta", "camembert"}:
        positions -= (base.config.pad_token_id or 0) + 1
    if max_length + prompt_length > positions:
        raise MethodError(
            f"{max_length} tokens of text and {prompt_length} virtual tokens need "
            f"{max_length + prompt_length} positions; {base.public_name} has {positions}",
            where="model.max_length",
            fix=f"set model.max_length to {positions - prompt_length} or less, for every recipe "
            "of the study, so that all methods see the same text",
        )


def set_attention(model: nn.Module, implementation: str) -> None:
    """Switches the attention implementation of a model, PEFT wrapper or not."""
    for module in model.modules():
        if isinstance(module, PreTrainedModel):
            module.set_attn_implementation(implementation)
            return


def prompt_token_ids(base: Base, text: str, count: int) -> list[int]:
    """Token ids to start ``count`` virtual tokens from: a text with its special tokens, repeated.

    The tokenizer's special tokens are kept because an encoder's classification head reads the
    first position: with a soft prompt that is virtual token 0, so it has to start as ``[CLS]``.
    (peft 0.21 pools it without saying so.)
    """
    ids = list(base.tokenizer(text, truncation=False)["input_ids"])
    special = base.tokenizer.cls_token_id
    first, rest = ([ids[0]], ids[1:]) if special is not None and ids[0] == special else ([], ids)
    rest = rest or ids
    repeated = rest * (count // len(rest) + 1)
    return [*first, *repeated][:count]


def _note_padding(tokenizer: PreTrainedTokenizerBase, config: Any) -> list[str]:
    config.pad_token_id = tokenizer.pad_token_id
    if tokenizer.pad_token_id != tokenizer.eos_token_id:
        return []
    return [f"the tokenizer has no padding token: its end token {tokenizer.eos_token} pads"]


def _with_dropout(config: Any, dropout: float | None) -> Any:
    """A copy of the config in which every dropout probability is ``dropout``."""
    changed = deepcopy(config)
    if dropout is None:
        return changed
    for key, value in config.to_dict().items():
        is_probability = isinstance(value, int | float) and not isinstance(value, bool)
        if is_probability and ("dropout" in key or key.endswith("pdrop")):
            setattr(changed, key, dropout)
    return changed


def _fingerprint(place: _Place, config: Any) -> str:
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return str(commit)
    digest = hashlib.sha256()
    for path in _weight_files(Path(place.location)):
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _weight_files(folder: Path) -> Sequence[Path]:
    return sorted([*folder.glob("*.safetensors"), *folder.glob("config.json")])


def _or_refuse(load: Any, spec: ModelSpec) -> Any:
    try:
        return load()
    except (OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"cannot load the model {spec.source!r}: {_first_line(error)}",
            where="model.source",
            fix="name a Hub id that is cached or reachable, a folder with config.json and "
            "model.safetensors, or an asset of `workbench assets`",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
