"""Results that are remembered against those that torch works out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_leaves

from tests.costs.test_dry_run import run_spec_of
from workbench.costs import fake_tensors
from workbench.costs.dry_run import dry_run
from workbench.costs.fake_ops import FakeResults
from workbench.recipe.schema import Recipe

aten = torch.ops.aten


@pytest.fixture
def mode() -> Iterator[FakeTensorMode]:
    with FakeTensorMode() as fake:
        yield fake


class Counted:
    """An operator that says how often it was called."""

    def __init__(self, operator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.operator, self.calls = operator, 0
        original = type(operator).__call__

        def call(this: Any, *args: Any, **kwargs: Any) -> Any:
            self.calls += this is operator
            return original(this, *args, **kwargs)

        monkeypatch.setattr(type(operator), "__call__", call)


def looks(tensor: Any) -> tuple[Any, ...]:
    assert isinstance(tensor, FakeTensor)
    storage = tensor.untyped_storage()
    form = (tensor.dtype, tensor.shape, tensor.stride(), tensor.storage_offset())
    return (*form, tensor.fake_device, storage.nbytes(), tensor.requires_grad)


def matrix(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(*shape, dtype=dtype)


CASES: dict[str, tuple[Any, Callable[[], tuple[Any, ...]]]] = {
    "a product": (aten.mm.default, lambda: (matrix(4, 3), matrix(3, 5))),
    "turned": (aten.mm.default, lambda: (matrix(3, 4).t(), matrix(3, 5))),
    "several results": (
        aten.native_layer_norm.default,
        lambda: (matrix(4, 3), [3], matrix(3), None, 1e-5),
    ),
    "a view": (aten.transpose.int, lambda: (matrix(4, 3)[1:], 0, 1)),
    "several views": (aten.split.Tensor, lambda: (matrix(4, 3), 2)),
    "no copy, no alias in the schema": (aten._unsafe_view.default, lambda: (matrix(4, 3), [12])),
    "another precision": (aten.sum.dim_IntList, lambda: (matrix(4, 3, dtype=torch.bfloat16), [1])),
    "with a bias": (aten.addmm.default, lambda: (matrix(5), matrix(4, 3), matrix(3, 5))),
    "a loss, two results": (
        aten.nll_loss_forward.default,
        lambda: (matrix(4, 3), matrix(4, dtype=torch.int64), None, 1, -100),
    ),
    "backward, with a mask of results": (
        aten.native_layer_norm_backward.default,
        lambda: (
            *(matrix(4, 3), matrix(4, 3), [3], matrix(4, 1), matrix(4, 1)),
            *(matrix(3), matrix(3), [True, False, True]),
        ),
    ),
    "not contiguous": (aten.gelu_backward.default, lambda: (matrix(3, 4).t(), matrix(3, 4).t())),
    "halves and wholes": (
        aten.native_layer_norm.default,
        lambda: (matrix(4, 3, dtype=torch.bfloat16), [3], matrix(3), matrix(3), 1e-5),
    ),
    "a table of rows": (
        aten.embedding.default,
        lambda: (matrix(9, 3), matrix(2, 4, dtype=torch.int64)),
    ),
    "a list": (aten.stack.default, lambda: ([matrix(4, 3), matrix(4, 3)], 1)),
}


@pytest.mark.parametrize("case", CASES)
def test_a_first_and_a_repeated_call_give_what_torch_gives(
    case: str, mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator, arguments = CASES[case]
    results, counted = FakeResults(mode), Counted(operator, monkeypatch)
    args = arguments()
    first = results(operator, args, {})
    calls = counted.calls
    again = results(operator, args, {})
    assert counted.calls == calls > 0, "the second was remembered"
    torchs = operator(*args)
    for made in (first, again):
        assert type(made) is type(torchs)
        ours, theirs = ([x] if isinstance(x, Tensor) else list(x) for x in (made, torchs))
        for our, their in zip(ours, theirs, strict=True):
            if their is None:
                assert our is None
            else:
                assert looks(our) == looks(their)
                assert _same(our, args[0]) == _same(their, args[0])


def _same(one: Tensor, other: Any) -> bool:
    storages = {each.untyped_storage()._cdata for each in tree_leaves(other)}
    return one.untyped_storage()._cdata in storages


def test_what_works_in_place_gives_its_argument_back(
    mode: FakeTensorMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    results, counted = FakeResults(mode), Counted(aten.mul_.Tensor, monkeypatch)
    results(aten.mul_.Tensor, (matrix(4), matrix(4)), {})
    written, calls = matrix(4), counted.calls
    assert results(aten.mul_.Tensor, (written, matrix(4)), {}) is written
    assert counted.calls == calls > 0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: (matrix(4), 1), lambda: (matrix(4), 1.5)),
        (lambda: (matrix(4, dtype=torch.int64), 1), lambda: (matrix(4, dtype=torch.int64), 1.0)),
        (lambda: (matrix(4), 1), lambda: (matrix(5), 1)),
        (lambda: (matrix(4), 1), lambda: (matrix(4, dtype=torch.bfloat16), 1)),
        (lambda: (matrix(4, 2), 1), lambda: (matrix(2, 4).t(), 1)),
    ],
)
def test_other_arguments_are_another_call(
    one: Callable[[], Any], other: Callable[[], Any], mode: FakeTensorMode
) -> None:
    results = FakeResults(mode)
    results(aten.mul.Scalar, one(), {})
    args = other()
    assert looks(results(aten.mul.Scalar, args, {})) == looks(aten.mul.Scalar(*args))


def test_a_keyword_is_another_call(mode: FakeTensorMode) -> None:
    results = FakeResults(mode)
    for dtype in (torch.float32, torch.bfloat16, torch.int64):
        made = results(aten._to_copy.default, (matrix(4),), {"dtype": dtype})
        assert made.dtype == dtype


def test_constants_and_errors_are_left_to_torch(mode: FakeTensorMode) -> None:
    results = FakeResults(mode)
    for number in (2.0, 3.0):
        constant = results(aten.mul.Scalar, (torch.tensor(number), 2), {})
        assert constant.item() == 2 * number
    for _ in range(2):
        with pytest.raises(RuntimeError):
            results(aten.mm.default, (matrix(4, 3), matrix(4, 3)), {})


def test_where_a_tensor_shall_be_is_left_to_torch(mode: FakeTensorMode) -> None:
    results = FakeResults(mode)
    for _ in range(2):
        made = results(aten.empty_like.default, (matrix(4),), {"device": torch.device("cuda")})
        assert made.device.type == "cuda"
        one = results(aten.mul.Tensor, (made, torch.empty((), device="cpu")), {})
        assert one.device.type == "cuda"


def test_an_axis_of_one_element_has_the_strides_of_the_real_operator(mode: FakeTensorMode) -> None:
    def heads(made: Tensor) -> Any:
        return made.view(4, 1, 3, 2).transpose(1, 2), [12, 1, 2]

    turned, sizes = heads(matrix(4, 1, 6))
    made = FakeResults(mode)(aten.view.default, (turned, sizes), {})
    with no_dispatch():
        turned, sizes = heads(torch.empty(4, 1, 6))
        real = aten.view.default(turned, sizes)
    assert made.stride() == real.stride()


def test_gradients_flow_through_what_is_remembered() -> None:
    with fake_tensors.fake_mode() as tracker:
        weight = torch.nn.Parameter(torch.ones(3, 3))
        for _ in range(2):
            hidden = torch.ones(4, 3)
            for _layer in range(3):
                hidden = F.gelu(hidden @ weight.t()).view(2, 2, 3).transpose(0, 1).reshape(4, 3)
            weight.grad = None
            hidden.sum().backward()
            assert isinstance(weight.grad, Tensor) and weight.grad.shape == (3, 3)
        assert tracker.live > 0


@pytest.mark.parametrize(
    "method", ["lora", *(pytest.param(m, marks=pytest.mark.slow) for m in ("full", "prefix"))]
)
def test_a_rehearsal_is_the_same_without_memory(
    method: str, make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    outline = run_spec_of(make_recipe(method, training={"precision": "bf16"}))

    def steps() -> list[tuple[Any, ...]]:
        with dry_run(outline, 0) as done:
            taken = [*done.taken, done.with_width(16), done.with_examples(3)]
        # What Python lets go of at once, it lets go of in any order.
        changes = [sorted(np.diff(step.live_bytes).tolist()) for step in taken]
        kinds = [{kind.key: n for kind, n in t.operations.counts.items()} for t in taken]
        return [(t.peak, c, k) for t, c, k in zip(taken, changes, kinds, strict=True)]

    with_memory = steps()
    monkeypatch.setattr(fake_tensors, "FakeResults", lambda _mode: None)
    assert steps() == with_memory
