"""Training steps in which tensors have shapes and no numbers, and every allocation is counted.

torch's fake tensors run the real code of model, method, loss and optimizer. Counted are the
storages that operators return, for as long as something holds them. torch's own tracker for this
(``torch.distributed._tools``, 2.13) fails on the first frozen parameter. Over real tensors the
count agrees with the resident memory of a CPU process but for a constant.
"""

import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import masking_utils

from workbench.costs.fake_ops import FakeResults

Listener = Callable[[Any, tuple[Any, ...], dict[str, Any]], None]


class MemoryTracker(TorchDispatchMode):
    """Counts the bytes of live storages; tells who asks which operators were called."""

    def __init__(self, results: FakeResults | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._results = results
        self.live = 0
        self.live_bytes: list[int] = [0]
        """What was live at the last reset, and after each storage that came or went since."""
        self.full = True
        """Whether no text of the present batch is padded, so that no mask is made for it."""
        self.on_op: Listener | None = None
        self._held: dict[int, weakref.ref[Any]] = {}
        self._answers = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing here is compiled; torch's guard against that costs more than a short answer."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func is torch.ops.prim.device.default:  # two of three calls, of fake tensors only
            return args[0].fake_device
        kwargs = kwargs or {}
        try:
            result = self._results(func, args, kwargs) if self._results else func(*args, **kwargs)
        except DataDependentOutputException:
            return self._answer(args[0])
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._hold(leaf)
        if self.on_op:
            self.on_op(func, args, kwargs)
        return result

    @property
    def peak(self) -> int:
        return max(self.live_bytes)

    def reset(self) -> None:
        self.live_bytes = [self.live]

    def _answer(self, asked: Tensor) -> bool | int | float:
        """A number for code that looks into a tensor: finite, and never the same one twice, so that
        losses are finite and what is checked for movement has moved."""
        if asked.dtype == torch.bool:
            return True
        if not asked.dtype.is_floating_point:
            return 1
        self._answers += 1
        return 1.0 + 1e-6 * self._answers

    def _hold(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return

        def let_go(_storage: object) -> None:
            del self._held[key]
            self.live -= size
            self.live_bytes.append(self.live)

        self._held[key] = weakref.ref(storage, let_go)
        self.live += size
        self.live_bytes.append(self.live)


class _Fake(FakeTensorMode):
    """One mode for all: peft copies heads, and a copied tensor would bring a copied mode."""

    def __deepcopy__(self, _memo: object) -> Self:
        return self


@contextmanager
def fake_mode() -> Iterator[MemoryTracker]:
    """Inside the block tensors are made and computed without numbers; nothing real is changed. Set
    right here: ``Module.to`` wants to swap parameters, which fails while storages are watched, and
    transformers (5.23) makes attention masks that it leaves out for real batches without
    padding."""
    fake = _Fake()
    fake.cache_enabled = False  # `FakeResults` is one
    tracker = MemoryTracker(FakeResults(fake))
    apply, is_tracing = nn.Module._apply, masking_utils.is_tracing
    truncated = nn.init._no_grad_trunc_normal_

    def tells_nothing(tensor: Any = None) -> bool:
        return not tracker.full and bool(is_tracing(tensor))

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Accessing the data pointer of FakeTensor")
        warnings.filterwarnings("ignore", category=FutureWarning)
        nn.Module._apply = _set_data  # type: ignore[method-assign]
        masking_utils.is_tracing = tells_nothing
        # It draws until all numbers are within bounds, which no number ever is (ModernBERT).
        nn.init._no_grad_trunc_normal_ = lambda tensor, *_args, **_options: tensor
        try:
            with fake, tracker:
                yield tracker
        finally:
            nn.Module._apply = apply  # type: ignore[method-assign]
            masking_utils.is_tracing = is_tracing
            nn.init._no_grad_trunc_normal_ = truncated


def _set_data(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
    """What ``Module._apply`` does for plain tensors: gives each parameter new data."""
    if recurse:
        for child in module.children():
            child._apply(change)
    with torch.no_grad():
        for parameter in module._parameters.values():
            if parameter is not None:
                parameter.data = change(parameter.data)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = change(buffer)
    return module
