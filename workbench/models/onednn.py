"""Products of fp32 matrices on processors that torch's own choice does not use in full.

torch multiplies fp32 matrices with MKL, which on AMD processors with AVX-512 does half of what they
could. On two cores of an AMD EPYC (Zen 5, torch 2.13) that is 210 GFLOP/s, where oneDNN, which
torch has too and takes for bf16, does 440; a test split (6-layer BERT, 500 texts of 128 tokens)
took 0.57 of the time. Logits differ by rounding, 1e-7. ``python -m benchmarks.policy`` measures it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D


@contextmanager
def products_by_onednn(model: nn.Module) -> Iterator[None]:
    """Lets the linear layers of a model, a PEFT wrapper or not, multiply fp32 with oneDNN.

    Only on a CPU and without gradients; everything else is computed as before.
    """
    layers: list[Any] = [
        layer
        for layer in model.modules()
        if type(layer) in (nn.Linear, Conv1D) and "forward" not in vars(layer)
    ]
    for layer in layers:
        layer.forward = partial(_multiply, layer)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own again


def _multiply(layer: Any, inputs: Tensor) -> Tensor:
    weight, bias = layer.weight, layer.bias
    plain = {inputs.dtype, weight.dtype} == {torch.float32} and inputs.device.type == "cpu"
    if not plain or torch.is_grad_enabled() or torch.is_autocast_enabled("cpu"):
        outputs: Tensor = type(layer).forward(layer, inputs)
        return outputs
    # GPT-2 keeps its weights transposed.
    rows = weight.t() if isinstance(layer, Conv1D) else weight
    product: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, rows, bias, "none", [], "")
    return product
