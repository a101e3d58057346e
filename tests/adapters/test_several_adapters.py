"""Several adapters on one base: its weights are in memory once, and every answer stays the same."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from tests.small_recipes import QUESTION
from tests.trained_runs import TrainedRuns
from workbench.adapters.export import export_run
from workbench.adapters.loaded import LoadedAdapter, load_adapter, load_adapters, resident_bytes
from workbench.store import Run
from workbench.tasks.base import pretrained

TEXTS = ["goal match the team", "[MASK] profit of shares market firm"]
ON_BERT = [
    ("text-classification", "full"),
    ("text-classification", "lora"),
    ("text-classification", "prefix"),
    ("token-classification", "lora"),
    ("question-answering", "prompt"),
    ("masked-lm", "lora"),
]
ON_LLAMA = [("instruction", "lora"), ("instruction", "prompt"), ("causal-lm", "lora")]


def _trained(cells: list[tuple[str, str]], family: str, trained: TrainedRuns) -> list[Run]:
    return [trained.read(trained.recipe(*cell, family)) for cell in cells]


def _base_tensors(adapter: LoadedAdapter) -> dict[str, Tensor]:
    """The weights of the backbone under the names that the plain model has for them."""
    inner = pretrained(adapter.model)
    backbone: nn.Module = inner.base_model
    return {
        name.replace(".base_layer", ""): parameter
        for name, parameter in backbone.named_parameters()
        if "lora_" not in name
    }


def _shared(one: LoadedAdapter, other: LoadedAdapter) -> set[str]:
    mine, theirs = _base_tensors(one), _base_tensors(other)
    return {
        name
        for name in mine.keys() & theirs.keys()
        if mine[name].data_ptr() == theirs[name].data_ptr()
    }


def _answers(adapter: LoadedAdapter) -> list[dict[str, object]]:
    asks = adapter.task.spec.name == "question-answering"
    return adapter.predict(TEXTS, [QUESTION] * len(TEXTS) if asks else None)


def _hold_together(runs: list[Run], own_weights: int) -> list[LoadedAdapter]:
    """Loads the runs together and apart, and compares. The first ones have weights of their own."""
    together = load_adapters([run.path for run in runs])
    apart = [load_adapter(run.path) for run in runs]
    assert [_answers(adapter) for adapter in together] == [_answers(one) for one in apart]
    first = together[own_weights]
    for adapter in together[own_weights + 1 :]:
        common = _base_tensors(first).keys() & _base_tensors(adapter).keys()
        assert len(common) > 15 and _shared(first, adapter) == common
    base = resident_bytes(apart[own_weights : own_weights + 1])
    assert sum(resident_bytes([one]) for one in apart) > (len(runs) - 0.5) * base
    assert resident_bytes(together) < (own_weights + 1.5) * base
    return together


def test_six_adapters_of_five_tasks_share_one_bert(trained_runs: TrainedRuns) -> None:
    """The fully fine-tuned one comes first, and does not keep the others from sharing."""
    full, lora, *_ = _hold_together(_trained(ON_BERT, "bert", trained_runs), own_weights=1)
    alike = _shared(full, lora)
    assert "encoder.layer.0.attention.self.query.weight" not in alike
    assert len(alike) < len(_base_tensors(full)) / 2


def test_adapters_that_write_share_one_llama(trained_runs: TrainedRuns) -> None:
    adapters = _hold_together(_trained(ON_LLAMA, "llama", trained_runs), own_weights=0)
    heads = [pretrained(adapter.model).get_output_embeddings().weight for adapter in adapters]
    assert len({head.data_ptr() for head in heads}) == 1


def test_a_merged_model_keeps_the_weights_that_were_merged(
    trained_runs: TrainedRuns, tmp_path: Path
) -> None:
    (run,) = _trained([("text-classification", "lora")], "bert", trained_runs)
    merged = export_run(run, tmp_path / "merged", merge=True)
    adapter, whole = load_adapters([run.path, merged])
    differing = _base_tensors(whole).keys() - _shared(adapter, whole)
    assert differing == {
        f"encoder.layer.{layer}.attention.self.{part}.weight"
        for layer in (0, 1)
        for part in ("query", "value")
    }
    for mine, theirs in zip(_answers(adapter), _answers(whole), strict=True):
        assert mine["prediction"] == theirs["prediction"]
