"""accelerate as this project uses it: this process, its accelerator, models wrapped for several."""

import gc
import math
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from torch import nn
from torch.distributed.fsdp import FSDPModule
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from workbench.distributed.launcher import hide_launcher_env
from workbench.distributed.loopback import meet_on_loopback
from workbench.distributed.policy import Policy
from workbench.recipe.schema import TrainingSpec
from workbench.store import memory_now


def this_process() -> PartialState:
    """This process among those that train together, and its device.

    accelerate has to be told that there is no accelerator: without ``cpu=True`` (1.15) each of
    several CPU processes takes itself for the only one.
    """
    store = {} if PartialState._shared_state else meet_on_loopback()
    with hide_launcher_env():
        return PartialState(cpu=not torch.accelerator.is_available(), **store)


def place(accelerator: Accelerator | None) -> tuple[int, int]:
    """The number of this process and how many there are; None is to work alone."""
    if accelerator is None:
        return 0, 1
    return accelerator.process_index, accelerator.num_processes


def make_accelerator(
    policy: Policy, training: TrainingSpec, reports: Path | None = None
) -> Accelerator:
    """A fresh accelerator whose DistributedDataParallel exchanges trained gradients and no more.

    Frozen weights have no gradient and so no place in the exchange; they travel once, when the
    processes start. Buffers are the same everywhere (none of these models has running statistics).
    A static graph makes trained tensors without a gradient cheap and legal, but counts the first
    backward pass double when that one is not exchanged (torch 2.13), so it is left out where a
    step is made of micro-batches.

    Args:
        reports: folder of what trackers write that ``training`` asks for; None to report nothing.
    """
    AcceleratorState._reset_state()
    # transformers would load the base in the first process only, and leave the others random.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    share = math.ceil(training.batch_size / policy.processes)
    whole = training.micro_batch_size is None or training.micro_batch_size >= share
    ddp = DistributedDataParallelKwargs(
        broadcast_buffers=False,
        find_unused_parameters=False,
        gradient_as_bucket_view=True,
        static_graph=whole and not training.auto_micro_batch,
    )
    tracked: dict[str, Any] = {}
    if reports is not None and training.report_to:
        tracked = {"log_with": list(training.report_to), "project_dir": str(reports)}
    precision = policy.accelerate_precision
    with hide_launcher_env():
        return Accelerator(mixed_precision=precision, kwargs_handlers=[ddp], **tracked)


@contextmanager
def single_process() -> Iterator[None]:
    """Inside the block an accelerator takes this process for the only one.

    For what one process works out for itself while the others wait; nothing may be exchanged.
    accelerate (1.15) numbers the CPU of each of several processes, and fake tensors on `cpu:0` do
    not go with those on `cpu`.
    """
    state = this_process()._shared_state
    kept, sharing = dict(state), AcceleratorState._shared_state.copy()
    if kept["device"].type == "cpu":
        state["device"] = torch.device("cpu")
    state.update(
        distributed_type=DistributedType.NO,
        num_processes=1,
        process_index=0,
        local_process_index=0,
    )
    try:
        yield
    finally:
        AcceleratorState._reset_state()
        AcceleratorState._shared_state.update(sharing)
        state.clear()
        state.update(kept)


def wrap(accelerator: Accelerator, model: nn.Module, optimizer: Optimizer) -> tuple[Any, Any]:
    """Model and optimizer as several processes share them; a single process gets its own back.

    A model that is sharded already gets the policy's precision and nothing else.
    """
    if isinstance(model, FSDPModule):
        wrapped = accelerator.prepare_model(model, device_placement=False, evaluation_mode=True)
        return wrapped, accelerator.prepare_optimizer(optimizer, device_placement=False)
    with warnings.catch_warnings():
        # torch 2.13 has another name for the setting, which accelerate 1.15 does not know.
        warnings.filterwarnings("ignore", "`broadcast_buffers` is deprecated", FutureWarning)
        wrapped, driven = accelerator.prepare(model, optimizer)
    return wrapped, driven


def unwrap(model: nn.Module) -> nn.Module:
    """The model inside, which computes in its own precision again.

    accelerate's ``unwrap_model`` (1.15) does the same, but imports DeepSpeed wherever that is
    installed: half a second, and lines on the screen, in a run that has nothing to do with it.
    """
    while isinstance(model, DistributedDataParallel):
        model = model.module
    original = model.__dict__.pop("_original_forward", None)
    if original is not None:
        model.forward = original
    return model


def free_memory(device: torch.device) -> int:
    """Bytes that this process could still take on a device: a container's limit counts, and on CUDA
    what torch's allocator keeps unused."""
    if device.type != "cuda":
        return memory_now()["available_bytes"]
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0] + unused)


def free_unused(device: torch.device) -> None:
    """Frees the tensors of a failed or finished piece of work, and on CUDA the allocator's pool."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """True for what torch and Python raise when an allocation fails, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    # CPU and Metal allocators raise a plain RuntimeError.
    words = ("out of memory", "can't allocate memory", "Cannot allocate memory")
    return isinstance(error, RuntimeError) and any(each in str(error) for each in words)
