"""Retention against plain transformers + PEFT."""

from __future__ import annotations

import math
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
)

from tests.architectures import save_architecture
from tests.trained_runs import SharedFolder, TrainedRuns
from workbench.adapters.folder import find_export
from workbench.pipeline.runner import run_recipe
from workbench.recipe.schema import Recipe
from workbench.retention import measure, program
from workbench.retention.measure import TOKENS, measure_retention, perplexity
from workbench.retention.passages import read_passages
from workbench.retention.program import linear_cka
from workbench.store import Run, read_run

Measured = dict[str, Any]
PARAMETERS = 10_000


@pytest.fixture
def no_retention() -> None:
    """Retention is what these tests are about."""


@pytest.fixture
def retention(plain_loader: Any) -> Callable[[Run], Measured]:
    def measured(run: Run) -> Measured:
        folder, about = find_export(run.path)
        compared = run.result["comparability"]
        return measure_retention(plain_loader, folder, about, compared, PARAMETERS)

    return measured


def batch(tokenizer: Any, tokens: int) -> Any:
    read = tokenizer(read_passages(), truncation=True, max_length=tokens, return_tensors="pt")
    return read["input_ids"]


# --- what a run has kept ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lora", "prompt", "full"])
def test_a_decoders_perplexity_is_that_of_plain_transformers(
    method: str, trained_runs: TrainedRuns, retention: Callable[[Run], Measured]
) -> None:
    recipe = trained_runs.recipe("causal-lm", method, "gpt2")
    run = trained_runs.read(recipe)
    found = retention(run)
    base = AutoModelForCausalLM.from_pretrained(recipe.model.source)
    virtual = 3 if method == "prompt" else 0
    model: Any = base
    if method == "full":
        model = AutoModelForCausalLM.from_pretrained(run.adapter)
    expected = {}
    for name in ("base", "adapted"):
        if name == "adapted" and method != "full":
            model = PeftModel.from_pretrained(base, run.adapter)
        net = base if name == "base" else model.eval()
        ids = batch(AutoTokenizer.from_pretrained(run.adapter), recipe.model.max_length)
        with torch.no_grad():
            logits = net(input_ids=ids).logits[:, virtual if name == "adapted" else 0 :]
        log_probs = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])
        expected[name] = math.exp(-float(log_probs.double().mean()))
    assert found["measure"] == "perplexity"
    assert found["tokens"] == recipe.model.max_length < TOKENS
    assert found["base_perplexity"] == pytest.approx(expected["base"], rel=1e-4)
    assert found["perplexity"] == pytest.approx(expected["adapted"], rel=1e-4)
    assert found["value"] == pytest.approx(expected["base"] / expected["adapted"], rel=1e-4)
    assert found["value"] != pytest.approx(1, abs=1e-3)
    assert len(found["passages"]) == len(found["base_passages"]) == 48
    assert perplexity(found["passages"]) == pytest.approx(found["perplexity"])


def test_a_classifiers_body_is_read_through_the_masked_language_head_of_its_base(
    trained_runs: TrainedRuns, retention: Callable[[Run], Measured]
) -> None:
    recipe = trained_runs.recipe("text-classification", "full", "bert")
    run = trained_runs.read(recipe)
    found = retention(run)
    assert found["measure"] == "masked-token perplexity"
    tokenizer = AutoTokenizer.from_pretrained(run.adapter)
    language = AutoModelForMaskedLM.from_pretrained(recipe.model.source)
    ids = batch(tokenizer, recipe.model.max_length)
    hidden = torch.zeros_like(ids, dtype=torch.bool)
    for passage in range(len(ids)):  # the first and the last token are [CLS] and [SEP]
        hidden[passage, 1 + passage % 8 : -1 : 8] = True
    shown = ids.masked_fill(hidden, tokenizer.mask_token_id)
    bodies = {
        "base_perplexity": language.bert,
        "perplexity": AutoModelForSequenceClassification.from_pretrained(run.adapter).bert,
    }
    for name, body in bodies.items():
        language.bert = body
        with torch.no_grad():
            log_probs = language.eval()(input_ids=shown).logits.log_softmax(-1)
        right = log_probs.gather(2, ids[..., None])[..., 0][hidden]
        assert found[name] == pytest.approx(math.exp(-float(right.double().mean())), rel=1e-4)


@pytest.mark.parametrize(
    ("task", "family"), [("text-classification", "bert"), ("text-classification", "gpt2")]
)
def test_a_trained_head_alone_leaves_the_base_as_it_was(
    task: str, family: str, trained_runs: TrainedRuns, retention: Callable[[Run], Measured]
) -> None:
    found = retention(trained_runs.read(trained_runs.recipe(task, "head", family)))
    assert found["value"] == 1
    assert found["passages"] == found["base_passages"]


@pytest.mark.parametrize("name", ["ALBERT", "ModernBERT", "XLNet", "OPT, projected", "Gemma 3"])
def test_bodies_and_heads_of_many_architectures_fit_together(name: str, tmp_path: Path) -> None:
    folder = str(save_architecture(name, tmp_path / "model"))
    request: dict[str, Any] = {"folder": folder, "base": folder, "revision": None, "tokens": 32}
    request |= {"passages": read_passages()[:9], "auto_class": "AutoModelForSequenceClassification"}

    def load(_: Any) -> Any:
        model = AutoModelForSequenceClassification.from_pretrained(folder)
        return model.eval(), AutoTokenizer.from_pretrained(folder)

    base = program.run({**request, "measure": None}, load)
    found = program.run({**request, "measure": base["measure"]}, load)
    assert found["passages"] == base["passages"]
    layers = program.run({**request, "measure": program.CKA}, load)["layers"]
    assert layers == pytest.approx([1.0, 1.0])


@pytest.mark.parametrize("method", ["bitfit", "prefix", "prompt", "p-tuning", "lora"])
def test_every_kind_of_adapter_is_measured_switched_on(
    method: str, trained_runs: TrainedRuns, retention: Callable[[Run], Measured]
) -> None:
    found = retention(trained_runs.read(trained_runs.recipe("text-classification", method, "bert")))
    assert found["measure"] == "masked-token perplexity", found.get("why")
    assert found["value"] > 0
    assert found["passages"] != found["base_passages"]


@pytest.mark.parametrize("method", ["full", "head", "lora", "prompt"])
def test_a_base_without_a_language_head_is_compared_by_its_layers(
    method: str, trained_runs: TrainedRuns, retention: Callable[[Run], Measured]
) -> None:
    recipe = trained_runs.recipe("text-classification", method, "distilbert")
    run = trained_runs.read(recipe)
    found = retention(run)
    assert found["measure"] == "linear CKA", found.get("why")
    assert len(found["layers"]) == 2
    assert len(found["without_passage"]) == 48
    assert found["value"] == pytest.approx(sum(found["layers"]) / 2)
    if method == "head":
        assert found["value"] == pytest.approx(1, abs=1e-9)
    if method != "full":
        return
    tuned = AutoModelForSequenceClassification.from_pretrained(run.adapter).distilbert
    ids = batch(AutoTokenizer.from_pretrained(run.adapter), recipe.model.max_length)
    states = []
    for model in (AutoModel.from_pretrained(recipe.model.source), tuned):
        with torch.no_grad():
            last = model.eval()(input_ids=ids).last_hidden_state
        states.append(last[:, 1::2].flatten(0, 1).double())
    no_passage = torch.zeros(len(states[0]), 0, dtype=torch.double)
    expected, *_ = linear_cka(*states, no_passage)
    assert found["layers"][-1] == pytest.approx(expected, rel=1e-5)
    assert found["value"] < 0.999


# --- what a run records -----------------------------------------------------------------------


def test_a_run_records_its_retention_and_one_that_asks_for_none_has_none(
    make_recipe: Callable[..., Recipe], plain_loader: Any, tmp_path: Path
) -> None:
    for wanted in (True, False):
        recipe = make_recipe("lora", training={"max_steps": 2})
        recipe = recipe.model_copy(
            update={"evaluation": recipe.evaluation.model_copy(update={"retention": wanted})}
        )
        run = run_recipe(recipe, 0, tmp_path / str(wanted), loader=plain_loader)
        assert run.state == "finished", run.reason
        assert ("retention" in read_run(run.path).result) == wanted
    kept = read_run(tmp_path / "True" / "tiny" / run.path.name).result
    assert kept["retention"]["measure"] == "masked-token perplexity"
    assert kept["retention"]["seconds"] > 0
    assert kept["fingerprint"] == run.result["fingerprint"]


def test_a_run_that_is_asked_to_stop_while_it_exports_finishes_without(
    make_recipe: Callable[..., Recipe], plain_loader: Any, tmp_path: Path
) -> None:
    def ask_during_the_export(kind: str, fields: dict[str, Any]) -> None:
        if kind == "phase" and fields["phase"] == "export":
            os.kill(os.getpid(), signal.SIGTERM)

    recipe = make_recipe("head", training={"max_steps": 2})
    run = run_recipe(recipe, 0, tmp_path, loader=plain_loader, observer=ask_during_the_export)
    assert run.state == "finished", run.reason
    assert run.result["retention"] == {
        "measure": None,
        "why": "the run was asked to stop before it was measured",
    }


def test_what_cannot_be_measured_fails_no_run_and_says_why(
    trained_runs: TrainedRuns,
    retention: Callable[[Run], Measured],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained_runs.copy(trained_runs.recipe("text-classification", "lora", "bert"), tmp_path)
    shutil.move(run.adapter / "adapter_model.safetensors", tmp_path / "elsewhere")
    found = retention(run)
    assert found["measure"] is None
    assert found["why"].startswith("plain transformers + PEFT: ")
    monkeypatch.setattr(measure, "free_memory", lambda _: 1000)
    assert retention(run)["why"] == (
        "export and base take 80,000 bytes together and 1,000 are free"
    )


def test_the_base_is_measured_once(
    shared: SharedFolder,
    trained_runs: TrainedRuns,
    plain_loader: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    run = trained_runs.read(trained_runs.recipe("text-classification", "lora", "bert"))
    folder, about = find_export(run.path)
    asked: list[str | None] = []

    class Counting:
        def ask(self, request: dict[str, Any]) -> dict[str, Any]:
            asked.append(request["measure"])
            answer: dict[str, Any] = plain_loader.ask(request)
            return answer

    for _ in range(2):
        loader: Any = Counting()
        measure_retention(loader, folder, about, run.result["comparability"], PARAMETERS)
    assert asked == [None, "masked-token perplexity", "masked-token perplexity"]
