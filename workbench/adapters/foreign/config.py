"""Reads a foreign adapter_config.json: what it may say, and what would load or run something else.

Torch is not loaded here: a config that asks for too much is refused before anything is.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.adapters.code_keys import leaves, names_code
from workbench.adapters.foreign.files import CONFIG
from workbench.adapters.foreign.header import TensorHeader
from workbench.errors import UsageError
from workbench.recipe.peft_types import ALONE, NOT_ALONE, PEFT_TYPES
from workbench.recipe.suggest import choice, shown
from workbench.recipe.tasks import TASK_SPECS

TASK_OF_TYPE = {spec.peft_task_type: name for name, spec in TASK_SPECS.items()}
"""The task that asks an adapter of each PEFT task type; of two, the later: a decoder's adapter is
asked to write."""

MAX_RANK = 8192
MAX_NUMBER = 1_000_000

_BEFORE_TEXT = {"PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING"}
"""Methods that wrap nothing inside the model."""
_RANKS = {"r", "init_r", "target_r", "num_virtual_tokens", "rank_pattern"}
_ANY_SIZE = ("seed", "key", "step")
"""Parts of names of numbers that nothing is as large as."""

_PLAIN_STARTS = {"gaussian", "orthogonal", "pissa", "olora"}
"""Ways for a LoRA to start that need neither data nor another file."""


@dataclass(frozen=True)
class AdapterConfig:
    """What the config says, checked, and the base model and task that it names."""

    values: dict[str, Any]
    base: str
    revision: str | None

    @property
    def peft_type(self) -> str:
        """PEFT's name of the method."""
        return str(self.values["peft_type"])

    @property
    def head_prefix(self) -> str:
        """What PEFT writes before the names of the plain model's own tensors."""
        return "base_model." if self.peft_type in _BEFORE_TEXT else "base_model.model."

    @property
    def task(self) -> str:
        """The workbench's name of the task."""
        return TASK_OF_TYPE[self.values["task_type"]]


def read_config(folder: Path) -> AdapterConfig:
    """The adapter's config, if it describes weights and nothing else.

    Raises:
        UsageError: naming the key, when it is not readable, of a method or task that is not known,
            names code or further files to load, or asks for sizes that no adapter has.
    """
    values = _parsed(folder / CONFIG)
    peft_type = values.get("peft_type")
    if not isinstance(peft_type, str) or peft_type not in PEFT_TYPES:
        raise _refused("peft_type", peft_type, "PEFT has no such method", choice(peft_type, ALONE))
    if peft_type in NOT_ALONE:
        raise _refused("peft_type", peft_type, NOT_ALONE[peft_type], "take another adapter")
    task_type = values.get("task_type")
    if not isinstance(task_type, str) or task_type not in TASK_OF_TYPE:
        raise _refused(
            "task_type",
            task_type,
            "it says which head and which output the adapter was trained with",
            f"ask whoever made it to save it with one of: {', '.join(TASK_OF_TYPE)}",
        )
    _refuse_code(values)
    _refuse_sizes(values)
    base, revision = values.get("base_model_name_or_path"), values.get("revision")
    if not isinstance(base, str | None) or not isinstance(revision, str | None):
        raise _refused("base_model_name_or_path", base, "it has to be a name", "pass --base MODEL")
    kept = {**values, "inference_mode": True}
    if "tokenizer_name_or_path" in kept:
        # How a prompt started is over: PEFT would load a tokenizer of that name to start it again.
        kept |= {"prompt_tuning_init": "RANDOM", "prompt_tuning_init_text": None}
        kept |= {"tokenizer_name_or_path": None, "tokenizer_kwargs": None}
    return AdapterConfig(kept, base or "", revision or None)


def check_ranks(config: AdapterConfig, tensors: dict[str, TensorHeader]) -> None:
    """Refuses a LoRA whose matrices have another rank than its config says.

    Raises:
        UsageError: naming the tensor.
    """
    if config.peft_type != "LORA":
        return
    pattern = config.values.get("rank_pattern") or {}
    if not isinstance(pattern, dict):
        raise _refused("rank_pattern", pattern, "a rank by name of a module is expected", "drop it")
    ranks = [config.values.get("r"), *pattern.values()]
    for name, tensor in tensors.items():
        side = 0 if ".lora_A." in name else 1 if ".lora_B." in name else None
        if side is None or len(tensor.shape) < 2:
            continue
        if tensor.shape[side] not in ranks:
            raise UsageError(
                f"r is {shown(config.values.get('r'))}, and {name[:100]} has the shape "
                f"{tensor.shape}, which is rank {tensor.shape[side]}",
                where=f"{CONFIG}: r",
                why="config and weights are not of one adapter",
                fix="ask for both files of the same adapter",
            )


def _parsed(path: Path) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise ValueError("a key is written twice")
        return dict(pairs)

    def no_number(text: str) -> None:
        raise ValueError(f"{text} is not a number")

    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"not readable: {str(error)[:200]}", where=CONFIG, fix="download the adapter again"
        ) from error
    return values


def _refuse_code(values: dict[str, Any]) -> None:
    for key, value, why, fix in names_code(values):
        raise _refused(key, value, why, fix)
    start = values.get("init_lora_weights")
    if isinstance(start, str) and start not in _PLAIN_STARTS:
        why = "such a LoRA changed its base by data that the adapter does not hold"
        fix = "ask for the adapter converted to a plain LoRA"
        raise _refused("init_lora_weights", start, why, fix)


def _refuse_sizes(values: dict[str, Any]) -> None:
    for key, name, value in leaves(values):
        if isinstance(value, str) and len(value) > 2_000:
            raise _refused(key, value, "a text of more than 2,000 characters", "shorten it")
        if not isinstance(value, int | float) or any(part in name for part in _ANY_SIZE):
            continue
        is_rank = bool(_RANKS & set(key.split(".", 1)))
        limit = MAX_RANK if is_rank else MAX_NUMBER
        if abs(value) > limit or (is_rank and (value < 1 or not isinstance(value, int))):
            why = f"a whole number from 1 to {limit:,} is expected" if is_rank else ""
            raise _refused(key, value, why or f"more than {limit:,} is refused", "correct it")


def _refused(key: str, value: object, why: str, fix: str) -> UsageError:
    return UsageError(f"found {shown(value)}", where=f"{CONFIG}: {key}", why=why, fix=fix)
