"""Refuses a model that cannot do the task, or has too little room for the texts."""

from __future__ import annotations

from typing import Any

from transformers import MODEL_FOR_MASKED_LM_MAPPING, PreTrainedTokenizerBase

from workbench.errors import MethodError, UsageError
from workbench.models.base import Base
from workbench.recipe.schema import ModelSpec
from workbench.recipe.tasks import Family
from workbench.tasks import AnyTask


def check_family(config: Any, spec: ModelSpec, task: AnyTask) -> None:
    """Refuses a model that sees too much, or too little, for the task.

    An encoder fills in masked words and a decoder continues a text; transformers would load a
    BERT as a decoder with a warning only, and its perplexity would mean nothing.

    Raises:
        UsageError: with a model that fits, or from the task itself.
    """
    family: Family = "encoder" if type(config) in MODEL_FOR_MASKED_LM_MAPPING else "decoder"
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


def refuse_missing_weights(base: Base, spec: ModelSpec) -> None:
    """Refuses a backbone that would start at random.

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
    if positions is None or positions < 0:  # XLNet, whose positions are relative, says -1
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
