"""DeepSpeed's settings: what the launcher's configuration says, filled from the recipe.

The recipe decides batch, accumulation, clipping, precision and optimizer: what a configuration
leaves out or to ``auto`` is filled in, what agrees is taken, everything else is refused at once.
"""

import math
import os
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from accelerate import DeepSpeedPlugin

from workbench.errors import UsageError
from workbench.recipe.schema import TrainingSpec

USE = "ACCELERATE_USE_DEEPSPEED"
"""What accelerate's launcher sets where DeepSpeed is to share the optimizer state."""
STAGES = (1, 2)
BUCKET = 2**26
"""Numbers whose gradients travel at once at most: 256 MiB. DeepSpeed's own default is 2 GB, which
it sets aside for each run, however little that trains."""

_ZERO = "zero_optimization"
_TAKEN = {
    "stage",
    "allgather_bucket_size",
    "allgather_partitions",
    "contiguous_gradients",
    "overlap_comm",
    "reduce_bucket_size",
    "reduce_scatter",
    "round_robin_gradients",
}
"""Settings under ``zero_optimization`` that say how gradients travel and not what they are."""
_SILENT = {"steps_per_print", "wall_clock_breakdown", "zero_allow_untested_optimizer"}
"""Settings that change nothing about the training."""
_BY_RECIPE = {
    "fp16": "training.precision of the recipe decides",
    "bf16": "training.precision of the recipe decides",
    "torch_autocast": "training.precision of the recipe decides",
    "optimizer": "the workbench trains with AdamW as the recipe says",
    "scheduler": "training.lr_scheduler of the recipe decides",
    "activation_checkpointing": "training.gradient_checkpointing of the recipe decides",
}


def zero_stage() -> int:
    """The stage of ZeRO that the launcher asked for; 0 where it did not ask for DeepSpeed.

    Raises:
        UsageError: when the configuration of DeepSpeed cannot be read.
    """
    if os.environ.get(USE, "false").lower() not in ("true", "1"):
        return 0
    stage = _configuration()[_ZERO].get("stage")
    if not isinstance(stage, int) or isinstance(stage, bool) or stage not in STAGES:
        raise UsageError(
            f"stage {stage} of DeepSpeed's ZeRO is not supported",
            where="zero_optimization.stage",
            why="stages 1 and 2 share optimizer state and gradients; stage 0 shares nothing, and "
            "stage 3 shares the weights as FSDP2 does",
            fix="set zero_stage to 1 or 2, or take the shipped ddp.yaml instead of stage 0 and "
            "fsdp2.yaml instead of stage 3",
        )
    return stage


def check_deepspeed(training: TrainingSpec, processes: int) -> None:
    """Refuses, before anything is loaded, what DeepSpeed cannot train as the recipe says.

    Raises:
        UsageError: with every setting that contradicts the recipe.
    """
    zero_stage()
    if find_spec("deepspeed") is None:
        raise UsageError(
            "DeepSpeed is not installed",
            where="accelerate launch",
            fix="pip install 'peft-workbench[deepspeed]', or take --shard, which needs nothing",
        )
    why = "gradients travel while they are computed, so a process that runs out of memory leaves "
    why += "the others waiting"
    check_together(training, processes, "the optimizer state", "--zero", "DeepSpeed", why)
    if found := list(_contradictions(_configuration(), _filled(training, processes))):
        raise UsageError(
            "the configuration of DeepSpeed contradicts the recipe:"
            + "".join(f"\n    {each}" for each in found),
            where="accelerate launch",
            why="the recipe says how to train, whatever it is launched with",
            fix='leave these settings out, or set them to "auto"',
        )


def check_together(
    training: TrainingSpec, processes: int, shared: str, option: str, system: str, why: str
) -> None:
    """Refuses what no kind of sharing can do.

    Raises:
        UsageError: for one process, and for a micro-batch that one process would change alone.
    """
    if processes == 1:
        raise UsageError(
            f"one process has nobody to share {shared} with",
            where=option,
            fix=f"add --processes 2 or more; or leave {system} out",
        )
    if training.auto_micro_batch:
        raise UsageError(
            f"auto_micro_batch cannot be used with {system}",
            where="training.auto_micro_batch",
            why=why,
            fix="set training.micro_batch_size, which leaves the effective batch as it is",
        )


def settings(training: TrainingSpec, processes: int, trained: int) -> dict[str, Any]:
    """The whole configuration for DeepSpeed."""
    zero = {k: v for k, v in _configuration()[_ZERO].items() if k in _TAKEN and v != "auto"}
    zero.setdefault("reduce_bucket_size", min(trained, BUCKET))
    filled = _filled(training, processes)
    del filled["train_batch_size"]  # DeepSpeed wants the other two to multiply to it exactly
    return {**filled, _ZERO: zero, "steps_per_print": None, "zero_allow_untested_optimizer": True}


def _filled(training: TrainingSpec, processes: int) -> dict[str, Any]:
    """What the recipe says, in DeepSpeed's words; clipping by 0 is none."""
    share = math.ceil(training.batch_size / processes)
    size = min(training.micro_batch_size or share, share)
    return {
        "train_batch_size": training.batch_size,
        "train_micro_batch_size_per_gpu": size,
        "gradient_accumulation_steps": math.ceil(share / size),
        "gradient_clipping": training.max_grad_norm or 0.0,
    }


def _contradictions(found: dict[str, Any], recipe: dict[str, Any]) -> Iterator[str]:
    for name, value in found.items():
        if value == "auto" or name in _SILENT or name == _ZERO:
            continue
        if name in recipe:
            # `accelerate config` writes one step of accumulation into every configuration.
            if value != recipe[name] and (name, value) != ("gradient_accumulation_steps", 1):
                yield f"{name} is {value}, by the recipe it is {recipe[name]}"
        elif not _is_off(value):
            yield f"{name}: {_BY_RECIPE.get(name, 'it has no place here')}"
    for name, value in found[_ZERO].items():
        if name not in _TAKEN and not _is_off(value):
            why = "what is shared here stays on the devices" if "offload" in name else ""
            yield f"{_ZERO}.{name}: {why or 'it has no place here'}"


def _is_off(value: Any) -> bool:
    if isinstance(value, dict):
        off = value.get("enabled") is False or value.get("enabled") == "auto"
        return off or value.get("device", "") in ("none", None)
    return value is None or value is False or value == "auto"


def _configuration() -> dict[str, Any]:
    """What accelerate makes of its own configuration and the file of DeepSpeed's that it names."""
    try:
        found: dict[str, Any] = DeepSpeedPlugin().hf_ds_config.config
        if not isinstance(found.get(_ZERO), dict):
            raise TypeError(f"{_ZERO} is not a section")
    except (ValueError, TypeError, OSError, AttributeError) as error:
        raise UsageError(
            f"the configuration of DeepSpeed cannot be used: {error}",
            where="accelerate launch",
            fix="compare it with deepspeed-zero2.yaml (`workbench launch-configs` prints where)",
        ) from error
    return found
