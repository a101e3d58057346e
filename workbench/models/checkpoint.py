"""What a checkpoint lacks for a task, and whether only the task's head needs it."""

from typing import Any

import torch
from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForCausalLM, AutoModelForMaskedLM

from workbench.models.base import Base


def note_new_weights(base: Base, loading: dict[str, Any]) -> None:
    """Writes down which weights start at random, and which of those inside the backbone belong to
    the head.

    Args:
        loading: what ``from_pretrained`` says of it with ``output_loading_info``.
    """
    resized = {name: shapes for name, *shapes in loading["mismatched_keys"]}
    base.missing = tuple(sorted({*loading["missing_keys"], *resized}))
    if not base.new_head:
        return
    heads = set(base.head_names)
    of_head = {name: shapes for name, shapes in resized.items() if name.split(".")[0] in heads}
    base.other_head = bool(of_head)
    if of_head:
        name, (there, here) = max(of_head.items(), key=lambda each: len(each[1][0]))
        base.notes.append(
            f"the checkpoint has a head for another number of labels ({name}: {there[0]} outputs, "
            f"not {here[0]}): a new one starts at random"
        )
    base.head_in_backbone = _read_by_heads_only(base)
    if base.head_in_backbone:
        parts = ", ".join(base.head_in_backbone)
        base.notes.append(
            f"the checkpoint has no weights for {parts}, which only a head reads: it starts at "
            "random and is trained as part of the head"
        )


def _read_by_heads_only(base: Base) -> tuple[str, ...]:
    """Parts of the backbone that the checkpoint lacks as a whole and language modelling does
    without, as BERT's without its pooler.

    What makes the hidden states is in transformers' language model of the same architecture too.
    """
    prefix = f"{base.model.base_model_prefix}."
    lacking = [name for name in base.missing if name.startswith(prefix)]
    parts = {name.removeprefix(prefix).split(".")[0] for name in lacking}
    if not parts:
        return ()
    masked = type(base.config) in MODEL_FOR_MASKED_LM_MAPPING
    auto: Any = AutoModelForMaskedLM if masked else AutoModelForCausalLM
    try:
        with torch.device("meta"):
            language = auto.from_config(base.config, attn_implementation="eager")
    except ValueError:  # transformers has no language model of this architecture
        return ()
    # Heads may call the backbone by another name: LlamaForQuestionAnswering's is "transformer".
    needed = {name.split(".")[0] for name in language.base_model.state_dict()}
    every = [name for name, _ in base.model.named_parameters()]
    return tuple(
        part
        for part in sorted(parts)
        if part not in needed
        and all(name in base.missing for name in every if name.startswith(f"{prefix}{part}."))
    )
