"""Bases in fewer bits than fp32: half precision, or bitsandbytes' layers in place of linear ones.

What a plain ``from_pretrained`` has to be told is one dictionary of JSON, ``loading_options``: the
run loads by it, the export keeps it, the model card prints it.

On processors with AVX-512 and bf16, bitsandbytes (0.50) rearranges a layer's nf4 weights when it is
first asked without gradients, with its scales in bf16, and cannot train it any more: gradients
end there, and what is read from the weights is not what they hold. So layers are kept from it
(``allow_packing``) until the training has ended.
"""

import re
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import get_keys_to_not_convert
from transformers.quantizers.quantizers_utils import should_convert_module

from workbench.errors import UsageError
from workbench.models.base import Base
from workbench.recipe.schema import ModelSpec

TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16"}
PACKAGE = "bitsandbytes"
INSTALL = "pip install 'peft-workbench[quant]'"
_PACKING = "support_avx512bf16_for_cpu"
_BLOCK, _SCALES_BLOCK = 64, 256
"""Weights that share a scale, and scales that share one."""
_OPTIONS = {
    "load_in_8bit": bool,
    "load_in_4bit": bool,
    "bnb_4bit_quant_type": str,
    "bnb_4bit_compute_dtype": str,
    "bnb_4bit_use_double_quant": bool,
    "llm_int8_skip_modules": list,
}


def check_installed(spec: ModelSpec) -> None:
    """Refuses quantised weights where the package that computes with them is not installed.

    Raises:
        UsageError: with the command that installs it.
    """
    if spec.quantization != "none":
        check_package({"quantization_config": {}})


def check_package(options: dict[str, Any]) -> None:
    """The same for what ``from_pretrained`` is told.

    Raises:
        UsageError: with the command that installs it.
    """
    if "quantization_config" in options and find_spec(PACKAGE) is None:
        raise UsageError(
            f"quantised weights need {PACKAGE}, which is not installed",
            where="model.quantization",
            fix=f"{INSTALL}, or set model.quantization: none",
        )


def loading_options(spec: ModelSpec, whole: Iterable[str] = ()) -> dict[str, Any]:
    """What ``from_pretrained`` is told of the weights, as JSON; empty for fp32.

    Args:
        whole: modules that are not quantised, beside those that the recipe names.
    """
    if not spec.reduced:
        return {}
    options: dict[str, Any] = {"dtype": TORCH_NAMES[spec.loaded_in]}
    if spec.quantization == "none":
        return options
    if spec.quantization == "nf4":
        quantised: dict[str, Any] = {
            "load_in_4bit": True,
            "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_compute_dtype": TORCH_NAMES[spec.computed_in],
            "bnb_4bit_use_double_quant": spec.double_quantization,
        }
    else:
        quantised = {"load_in_8bit": True}
    quantised["llm_int8_skip_modules"] = sorted({*whole, *spec.quantization_skip})
    return options | {"quantization_config": quantised}


def as_arguments(options: dict[str, Any]) -> dict[str, Any]:
    """The same with transformers' object for the quantisation, which ``from_pretrained`` takes."""
    found = dict(options)
    if "quantization_config" in found:
        found["quantization_config"] = BitsAndBytesConfig(**found["quantization_config"])
    return found


def are_safe(options: Any) -> bool:
    """Whether options that anybody may have written name a format of weights and nothing else:
    transformers takes the names of modules for regular expressions."""
    if not isinstance(options, dict) or options.keys() - {"dtype", "quantization_config"}:
        return False
    quantised = options.get("quantization_config", {})
    return (
        options.get("dtype") in (None, *TORCH_NAMES.values())
        and isinstance(quantised, dict)
        and all(isinstance(value, _OPTIONS.get(name, ())) for name, value in quantised.items())
        and quantised.get("bnb_4bit_compute_dtype") in (None, *TORCH_NAMES.values())
        and quantised.get("bnb_4bit_quant_type") in (None, "nf4")
        and all(
            isinstance(name, str) and re.fullmatch(r"[\w.]+", name)
            for name in quantised.get("llm_int8_skip_modules", ())
        )
    )


def whole_modules(base: Base, spec: ModelSpec) -> set[str]:
    """Modules that are never quantised: those that transformers leaves whole, and the head's.

    Raises:
        UsageError: when the recipe names others that are not there, or names all.
    """
    heads = set(base.head_names)
    linear = [n for n, m in base.model.named_modules() if isinstance(m, nn.Linear | Conv1D)]
    of_head = {name for name in linear if heads.intersection(name.split("."))}
    whole = {*get_keys_to_not_convert(base.model), *of_head}
    left = [name for name in linear if should_convert_module(name, [*whole])]
    _check_skipped(spec, left)
    return whole


def _check_skipped(spec: ModelSpec, layers: list[str]) -> None:
    """Refuses a recipe that leaves all of these layers as they are, or names one not among them."""
    skip = spec.quantization_skip
    if skip and not any(should_convert_module(name, skip) for name in layers):
        raise UsageError(
            f"nothing of {spec.source} is left to quantise",
            where="model.quantization_skip",
            fix="name fewer layers, or set model.quantization: none and model.dtype: bf16",
        )
    for pattern in skip:
        if all(should_convert_module(name, [pattern]) for name in layers):
            kinds = sorted({name.rpartition(".")[2] for name in layers})
            raise UsageError(
                f"{pattern} is no linear layer of {spec.source} that would be quantised",
                where="model.quantization_skip",
                why="names are compared from their beginning, as model.layers.0, or their end",
                fix=f"remove it, or name {', '.join(kinds)}, or a part such as "
                f"{layers[0].rpartition('.')[0]}",
            )


def quantized_layers(model: nn.Module) -> Iterator[tuple[str, Any]]:
    """The layers of a model whose weights are quantised, by name."""
    for name, module in model.named_modules():
        if type(module).__module__.startswith(f"{PACKAGE}."):
            yield name, module


def allow_packing(model: nn.Module, allowed: bool) -> None:
    """Whether bitsandbytes may rearrange weights, as it does in a plain load."""
    for _, layer in quantized_layers(model):
        if hasattr(layer, _PACKING):
            setattr(layer, _PACKING, allowed and packs(layer))


def packs(layer: Any) -> bool:
    """Whether bitsandbytes would rearrange the weights of a layer of its own in a plain load."""
    from bitsandbytes import functional

    found: Any = functional.has_avx512bf16
    return hasattr(layer, _PACKING) and bool(found())


def scale_bytes(model: nn.Module) -> int:
    """Bytes of what lies beside the quantised weights of a model: their scales and tables."""
    found: dict[int, int] = {}
    for _, layer in quantized_layers(model):
        state = getattr(layer.weight, "quant_state", None)
        nested = getattr(state, "state2", None)
        tensors = [
            *(getattr(state, name, None) for name in ("absmax", "code", "offset")),
            *(getattr(nested, name, None) for name in ("absmax", "code")),
            getattr(layer.weight, "SCB", None),
            getattr(getattr(layer, "state", None), "SCB", None),
        ]
        found |= {id(t): t.nbytes for t in tensors if isinstance(t, Tensor)}
    return sum(found.values())


# --- without weights --------------------------------------------------------------------------


def quantize_empty(model: PreTrainedModel, options: dict[str, Any]) -> None:
    """Puts quantised layers into a model that has shapes and no numbers, in place."""
    from transformers.integrations import replace_with_bnb_linear

    if "quantization_config" not in options:
        return
    biases = {n: p for n, p in model.named_parameters() if n.endswith(".bias")}
    device, dtype = model.device, model.dtype
    config = BitsAndBytesConfig(**options["quantization_config"])
    with _disable_current_modes():  # bitsandbytes' parameters cannot be fake ones
        replace_with_bnb_linear(model, config.llm_int8_skip_modules, config)
    for name, layer in quantized_layers(model):
        if f"{name}.bias" in biases:
            layer.bias = biases[f"{name}.bias"].requires_grad_(False)
        layer.weight = _without_numbers(layer, device, dtype)
    allow_packing(model, False)
    setattr(model, "is_loaded_in_4bit" if config.load_in_4bit else "is_loaded_in_8bit", True)


def _without_numbers(layer: Any, device: torch.device, dtype: torch.dtype) -> nn.Parameter:
    """A weight of the bytes and the attributes that the real one has."""
    shape = torch.Size((layer.out_features, layer.in_features))
    kind = type(layer.weight).__name__
    if kind == "Int8Params":
        data = torch.empty(shape, dtype=torch.int8, device=device)
        scales = torch.empty(len(data), device=device)
        return _named(kind, data, CB=data, SCB=scales, has_fp16_weights=False)
    packed = torch.empty(((shape.numel() + 1) // 2, 1), dtype=torch.uint8, device=device)
    nested = layer.weight.compress_statistics
    layer.quant_state = _scales(shape, device, dtype, nested=nested)
    about = {"compress_statistics": nested, "quant_type": "nf4", "blocksize": _BLOCK}
    return _named(kind, packed, quant_state=layer.quant_state, quant_storage=torch.uint8, **about)


def _scales(shape: torch.Size, device: torch.device, dtype: torch.dtype, *, nested: bool) -> Any:
    from bitsandbytes import functional

    make: Any = functional.QuantState
    blocks = -(-shape.numel() // _BLOCK)
    kind = {"shape": shape, "blocksize": _BLOCK, "quant_type": "nf4", "dtype": dtype}
    code = torch.empty(16, device=device)
    if not nested:
        return make(absmax=torch.empty(blocks, device=device), code=code, **kind)
    of_scales = make(
        absmax=torch.empty(-(-blocks // _SCALES_BLOCK), device=device),
        blocksize=_SCALES_BLOCK,
        code=torch.empty(256, device=device),
        dtype=torch.float32,
    )
    absmax = torch.empty(blocks, dtype=torch.uint8, device=device)
    # A state dict asks for its number.
    offset = torch.zeros((), device="cpu" if device.type == "meta" else device)
    return make(absmax=absmax, code=code, offset=offset, state2=of_scales, **kind)


def _named(kind: str, data: Tensor, **attributes: Any) -> nn.Parameter:
    """A parameter whose class is called as that of bitsandbytes, which PEFT asks for: theirs cannot
    be made of tensors without numbers."""
    parameter = nn.Parameter(data, requires_grad=False)
    own = {"__deepcopy__": lambda self, _memo: self}  # PEFT reads off a copy for DoRA
    parameter.__class__ = type(kind, (type(parameter),), own)
    for name, value in attributes.items():
        setattr(parameter, name, value)
    return parameter


# --- back to plain weights --------------------------------------------------------------------


@torch.no_grad()
def copy_dequantized(quantised: nn.Module, plain: nn.Module) -> None:
    """Writes what a quantised base computes with into the same base loaded without quantisation."""
    from transformers.integrations.bitsandbytes import dequantize_bnb_weight

    for name, layer in quantized_layers(quantised):
        there: Any = plain.get_submodule(name)
        weight = dequantize_bnb_weight(layer.weight, getattr(layer, "state", None))
        there.weight.copy_(weight.T if isinstance(there, Conv1D) else weight)
