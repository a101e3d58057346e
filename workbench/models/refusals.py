"""Refuses a model that cannot do the task, or has too little room for the texts."""

import json
from pathlib import Path
from typing import Any

from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedTokenizerBase

from workbench.errors import MethodError, UsageError
from workbench.models.attention import class_of
from workbench.models.base import Base
from workbench.models.location import TOKENIZER_FIX
from workbench.recipe.schema import ModelSpec
from workbench.recipe.tasks import Family
from workbench.tasks import AnyTask

ADAPTER_FILES = ("adapter_config.json", "trained_weights.safetensors")
"""Files by which an adapter's folder is known: PEFT's, and that of an export of trained tensors."""


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def family_of(config: Any) -> Family:
    """Whether a model sees both sides of a word, or generates."""
    return "encoder" if type(config) in MODEL_FOR_MASKED_LM_MAPPING else "decoder"


def refuse_quantized(config: Any, spec: ModelSpec) -> None:
    """Refuses a base whose published weights are quantised, by whatever method.

    transformers (5.23) loads it as its config says, whatever the recipe asks for, and nothing
    would record it.

    Raises:
        UsageError: with the method that its config names.
    """
    parts = (config, config.get_text_config(decoder=True))
    found = [getattr(part, "quantization_config", None) for part in parts]
    quantized = next((each for each in found if each is not None), None)
    if quantized is None:
        return
    method = quantized.get("quant_method") if isinstance(quantized, dict) else None
    raise UsageError(
        f"the weights of {spec.source} are quantised already ({method or 'bitsandbytes'})",
        where="model.source",
        why="its config.json has a quantization_config, which no setting of model changes",
        fix="take the base that it was made from, and set model.quantization: nf4 or int8",
    )


def check_family(config: Any, spec: ModelSpec, task: AnyTask) -> None:
    """Refuses a model that sees too much, or too little, for the task.

    An encoder fills in masked words and a decoder continues a text; transformers would load a
    BERT as a decoder with a warning only, and its perplexity would mean nothing.

    Raises:
        UsageError: with a model that fits, or from the task itself.
    """
    family = family_of(config)
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
    task.check_base(config, family, spec.source)
    try:
        class_of(task.auto_class, config)
    except ValueError as error:
        raise UsageError(
            f"{config.model_type} has no head for {task.spec.name}",
            where="model.source",
            why=f"transformers' {error}",
            fix="take another base model, or a task that this one has a head for",
        ) from error


def check_tokenizer(tokenizer: PreTrainedTokenizerBase, spec: ModelSpec) -> None:
    """Refuses a tokenizer that knows no words, cannot pad, or cannot be cached.

    transformers (5.23) makes one that knows its special tokens alone, where a folder has no
    tokenizer files.

    Raises:
        UsageError: with what to set.
    """
    if not tokenizer.is_fast:
        raise UsageError(
            f"the tokenizer of {spec.source!r} exists in its slow form only",
            where="model.source",
            why="the workbench needs a fast tokenizer to count cut texts and to cache tokens",
            fix="take a model that ships a tokenizer.json",
        )
    # A made-up one may have a word boundary beside them.
    if len(tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens)) < 2:
        raise UsageError(
            f"the tokenizer of {spec.source!r} has no vocabulary",
            where="model.source",
            why="it knows its special tokens only, so that all texts would read the same",
            fix=TOKENIZER_FIX,
        )
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is None:
        raise UsageError(
            f"the tokenizer of {spec.source!r} has no padding token, and no end token to pad with",
            where="model.source",
            why="texts of different lengths cannot be put into one batch",
            fix="name a token of its vocabulary as pad_token in tokenizer_config.json",
        )


def refuse_padded_ends(tokenizer: PreTrainedTokenizerBase, spec: ModelSpec) -> None:
    """Refuses a tokenizer that ends each text with the token that also has to pad.

    A decoder's head reads the last token that is not padding (transformers 5.23), which a plain
    load would then take from before the end token, and this run from the end token itself.

    Raises:
        UsageError: when texts end with the padding token.
    """
    ids = tokenizer("a")["input_ids"]
    if len(ids) > 1 and ids[-1] == tokenizer.pad_token_id:
        raise UsageError(
            f"the tokenizer of {spec.source} ends each text with {tokenizer.eos_token} and has no "
            "padding token",
            where="model.source",
            why="the end token would have to pad as well, and nobody could tell the two apart",
            fix="give the tokenizer a padding token (tokenizer_config.json: pad_token), or take a "
            "model that has one",
        )


def refuse_adapter(location: str, spec: ModelSpec) -> None:
    """Refuses a folder that holds an adapter, or a run that has one, in place of a base model.

    Raises:
        UsageError: with the base that the adapter names and what to write to continue from it.
    """
    folder = Path(location)
    places = (folder, folder / "adapter")
    found = next((p for p in places if any((p / f).is_file() for f in ADAPTER_FILES)), None)
    if found is None:
        return
    about = {**_json(found / "adapter_config.json"), **_json(found / "workbench.json")}
    base = about.get("base") or about.get("base_model_name_or_path") or "its base model"
    raise UsageError(
        f"{spec.source} is an adapter, not a base model",
        where="model.source",
        why="it holds only what was trained on top of a base model",
        fix=f"set model.source to {base}; to continue from the adapter, also set init_from: "
        f"{spec.source} (one that others made is read by `workbench import` first)",
    )


def refuse_missing_weights(base: Base, spec: ModelSpec) -> None:
    """Refuses a backbone that would start at random, in part or as a whole.

    transformers (5.23) reports weights that a checkpoint lacks and loads the rest. For a new head
    that is right; ``LlamaForQuestionAnswering`` finds none of its backbone, because it calls it by
    another name than the checkpoints do.

    Raises:
        UsageError: with the number of weights and the first of them.
    """
    named = set(base.head_names)
    random = [
        name
        for name in base.missing
        # An output bias starts at zero, in a plain load as here.
        if not named.intersection(name.split("."))
        and not name.endswith(("predictions.bias", "predictions.decoder.bias"))
    ]
    if random:
        raise UsageError(
            f"{spec.source} has no weights for {len(random)} parts of {type(base.model).__name__}, "
            f"e.g. {random[0]}",
            where="model.source",
            why="transformers would start them at random and only the task head may be new",
            fix="take another model for this task, or a checkpoint of that very architecture",
        )


def _unused_positions(model: Any) -> int:
    """RoBERTa, MPNet and Longformer count positions from that of padding on: two of their 514 are
    never a token's."""
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return int(module.padding_idx) + 1
    return 0


def check_positions(base: Base, max_length: int, prompt_length: int) -> None:
    """Refuses texts and virtual tokens that together exceed the model's positions.

    Raises:
        MethodError: with the largest ``model.max_length`` that fits.
    """
    positions = getattr(base.config, "max_position_embeddings", None)
    if positions is None or positions < 0:  # XLNet, whose positions are relative, says -1
        return
    positions -= _unused_positions(base.model)
    if max_length + prompt_length > positions:
        raise MethodError(
            f"{max_length} tokens of text and {prompt_length} virtual tokens need "
            f"{max_length + prompt_length} positions; {base.public_name} has {positions}",
            where="model.max_length",
            fix=f"set model.max_length to {positions - prompt_length} or less, for every recipe "
            "of the study, so that all methods see the same text",
        )
