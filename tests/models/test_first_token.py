"""What a classifier does not read of its last layer is left out, and nothing else changes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
import transformers
from peft import IA3Config, LoraConfig, PrefixTuningConfig, PromptTuningConfig, get_peft_model

from workbench.models import only_first_token, set_attention

SIZE: dict[str, Any] = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "num_labels": 3,
    "attn_implementation": "eager",
}
CONFIGS = {
    "bert": transformers.BertConfig,
    "camembert": transformers.CamembertConfig,
    "roberta": transformers.RobertaConfig,
    "xlm-roberta": transformers.XLMRobertaConfig,
    "electra": transformers.ElectraConfig,
}
METHODS: dict[str, Any] = {
    "full": None,
    "lora": LoraConfig(task_type="SEQ_CLS", target_modules="all-linear"),
    "ia3": IA3Config(
        task_type="SEQ_CLS",
        target_modules=["key", "value", "output.dense"],
        feedforward_modules=["output.dense"],
    ),
    "prefix": PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
    "prompt": PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=4),
}
INPUTS = {
    "input_ids": torch.tensor([[2, 7, 8, 9, 3, 1], [2, 11, 12, 3, 1, 1]]),
    "attention_mask": torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 0, 0]]),
}


def make_model(family: str, method: str) -> Any:
    torch.manual_seed(0)
    config = CONFIGS[family](**SIZE | ({"embedding_size": 32} if family == "electra" else {}))
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    if METHODS[method] is not None:
        model = get_peft_model(model, copy.deepcopy(METHODS[method]))
    return model.eval()  # dropout off, gradients on


def outputs_and_gradients(model: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    model.zero_grad()
    logits = model(**INPUTS).logits
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2])).backward()
    gradients = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), gradients


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", CONFIGS)
def test_outputs_and_gradients_are_the_same(family: str, method: str, attention: str) -> None:
    model = make_model(family, method)
    set_attention(model, attention)
    logits, gradients = outputs_and_gradients(model)
    shapes: list[tuple[int, ...]] = []
    last = model.base_model if method == "full" else model.get_base_model().base_model
    last.encoder.layer[-1].output.register_forward_hook(
        lambda _module, _inputs, output: shapes.append(tuple(output.shape))
    )

    with only_first_token(model):
        fewer = outputs_and_gradients(model)
    again = outputs_and_gradients(model)

    assert [shape[1] for shape in shapes] == [1, shapes[1][1]] and shapes[1][1] >= 6
    for logits_then, gradients_then in (fewer, again):
        torch.testing.assert_close(logits_then, logits, rtol=1e-5, atol=1e-6)
        assert gradients_then.keys() == gradients.keys()
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradients_then[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    "auto", [transformers.AutoModelForTokenClassification, transformers.AutoModelForMaskedLM]
)
def test_a_head_that_reads_every_token_gets_every_token(auto: Any) -> None:
    model = auto.from_config(transformers.BertConfig(**SIZE)).eval()
    with only_first_token(model):
        assert model(**INPUTS).logits.shape[1] == 6


def test_a_decoder_is_left_alone() -> None:
    config = transformers.GPT2Config(
        vocab_size=40, n_embd=32, n_layer=2, n_head=2, num_labels=3, pad_token_id=1
    )
    model = transformers.AutoModelForSequenceClassification.from_config(config).eval()
    before = model(**INPUTS).logits
    with only_first_token(model):
        assert torch.equal(model(**INPUTS).logits, before)
