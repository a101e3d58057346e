"""The same products by another library, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from torch.utils._python_dispatch import TorchDispatchMode

from workbench.models import products_by_onednn

ONEDNN = "mkldnn._linear_pointwise.default"
LAYERS: dict[str, Any] = {
    "bert": transformers.BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64,
    ),
    "gpt2": transformers.GPT2Config(
        vocab_size=40, n_embd=32, n_layer=2, n_head=2, n_positions=16, pad_token_id=0
    ),
    "llama": transformers.LlamaConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, pad_token_id=0,
    ),
}  # fmt: skip
IDS = torch.tensor([[2, 7, 8, 9, 3, 1], [2, 11, 12, 3, 1, 5]])

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)


class Heard(TorchDispatchMode):
    """Names of the operators that were called."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


def make_model(family: str) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModelForSequenceClassification.from_config(LAYERS[family])
    targets = {"bert": ["query"], "gpt2": ["c_attn"], "llama": ["q_proj"]}[family]
    transposed = family == "gpt2"
    config = LoraConfig(task_type="SEQ_CLS", target_modules=targets, fan_in_fan_out=transposed)
    return get_peft_model(model, config).eval()


@pytest.mark.parametrize("family", LAYERS)
def test_outputs_differ_by_rounding_alone(family: str) -> None:
    model = make_model(family)
    with torch.no_grad():
        expected = model(IDS).logits
        with products_by_onednn(model), Heard() as heard:
            found = model(IDS).logits
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert heard.names.count(ONEDNN) > 8
    assert not {"aten.mm.default", "aten.addmm.default"} & set(heard.names)


@pytest.mark.parametrize("family", LAYERS)
def test_a_model_is_left_as_it_was(family: str) -> None:
    model = make_model(family)
    before = {name: dict(vars(layer)) for name, layer in model.named_modules()}
    with products_by_onednn(model):
        pass
    assert {name: dict(vars(layer)) for name, layer in model.named_modules()} == before


def test_gradients_and_half_precision_go_the_usual_way() -> None:
    model = make_model("bert")
    with products_by_onednn(model), Heard() as heard:
        model(IDS).logits.sum().backward()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            model(IDS)
        with torch.no_grad():
            model.to(torch.bfloat16)(IDS)
    assert ONEDNN not in heard.names and "aten.addmm.default" in heard.names


def test_a_layer_that_someone_else_has_changed_is_left_alone() -> None:
    model = make_model("bert")
    head: Any = next(layer for layer in model.modules() if type(layer) is torch.nn.Linear)
    head.forward = lambda _inputs: torch.zeros(1)
    theirs = head.forward
    with products_by_onednn(model):
        assert head.forward is theirs
    assert head.forward is theirs
