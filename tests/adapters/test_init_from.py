"""Continuing from an adapter: what comes along, what starts anew, and what is refused."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor, equal

from tests.small_recipes import METHODS, small_recipe
from tests.tiny_models import make_tiny
from tests.trained_runs import SharedFolder, TrainedRuns
from workbench.adapters import init_from
from workbench.methods import AdaptedModel
from workbench.recipe import dump_recipe, load_recipe
from workbench.store import Run

Train = Callable[..., Run]
GoOn = Callable[[str, str | dict[str, Any], Path], Run]
ADAPTER = "adapter_model.safetensors"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Filled with the trained tensors of the next run that goes on, as they are at its start."""
    seen: dict[str, Tensor] = {}

    def start_and_look(adapted: AdaptedModel, task: Any, source: str) -> str:
        taken = init_from.start_from(adapted, task, source)
        seen.update({n: t.detach().clone() for n, t in init_from._state(adapted).items()})
        return taken

    monkeypatch.setattr("workbench.pipeline.pipeline.start_from", start_and_look)
    return seen


@pytest.fixture
def tiny_bert(shared: SharedFolder) -> Path:
    """The base of the runs that others continue from."""
    return shared.model("bert", 0.3)


@pytest.fixture
def trained(trained_runs: TrainedRuns) -> Callable[..., Run]:
    """A finished run of a task and a method."""

    def get(task: str, method: str, **fields: Any) -> Run:
        return trained_runs.read(trained_runs.recipe(task, {**METHODS[method], **fields}))

    return get


@pytest.fixture
def go_on(tiny_bert: Path, train: Train, tmp_path: Path) -> GoOn:
    """Trains a task by a method from where a run or an export ended."""

    def run(task: str, method: str | dict[str, Any], source: Path) -> Run:
        recipe = small_recipe(task, method, tiny_bert, tmp_path, init_from=str(source))
        return train(recipe, 0, tmp_path / "runs")

    return run


def _weights(run: Run) -> dict[str, Tensor]:
    (file,) = run.adapter.glob("*.safetensors")
    return load_file(file)


@pytest.mark.parametrize("targets", [None, "all-linear"])
def test_a_masked_lm_adapter_goes_on_to_classify(
    targets: str | None, trained: Callable[..., Run], started: dict[str, Tensor], go_on: GoOn
) -> None:
    """With all-linear also BERT's pooler is adapted, which a masked language model has not."""
    before = trained("masked-lm", "lora", target_modules=targets)
    method = {**METHODS["lora"], "target_modules": targets}
    run = go_on("text-classification", method, before.path)
    assert run.state == "finished", run.reason

    found = _weights(before)
    adapters = {name for name in started if "lora_" in name and "pooler" not in name}
    assert len(adapters) >= 8 and all(equal(started[name], found[name]) for name in adapters)
    assert all(found[name].any() for name in adapters), "the source had learned nothing"
    new = {name for name in started if name not in found}
    pooler = {name for name in started if ".pooler." in name}
    assert new == pooler | {f"base_model.model.classifier.{part}" for part in ("weight", "bias")}
    assert len(pooler) == (2 if targets else 0)
    assert [("2 trained tensors" in note) for note in run.result["warnings"]] == [True] * bool(
        pooler
    )


def test_the_record_tells_the_start(
    trained: Callable[..., Run], tiny_bert: Path, train: Train, tmp_path: Path
) -> None:
    before = trained("masked-lm", "lora")
    fresh = small_recipe("text-classification", "lora", tiny_bert, tmp_path)
    recipe = small_recipe(
        "text-classification", "lora", tiny_bert, tmp_path, init_from=str(before.path)
    )
    assert recipe.fingerprint != fresh.fingerprint
    runs = [train(each, 0, tmp_path / "runs") for each in (fresh, recipe)]
    alone, after = (run.result["comparability"]["base"] for run in runs)
    digest = hashlib.sha256((before.adapter / ADAPTER).read_bytes()).hexdigest()
    assert after == f"{alone} after {digest}"


@pytest.mark.parametrize("method", ["full", "lora", "prompt", "prefix", "bitfit"])
def test_on_the_same_task_the_head_comes_along(
    method: str, trained: Callable[..., Run], started: dict[str, Tensor], go_on: GoOn
) -> None:
    before = trained("text-classification", method)
    run = go_on("text-classification", method, before.adapter)
    assert run.state == "finished", run.reason
    assert run.result["warnings"] == before.result["warnings"]
    found = _weights(before)
    assert started.keys() == found.keys()
    assert any(name.endswith("classifier.weight") for name in started)
    assert all(equal(started[name], found[name]) for name in found)


@pytest.mark.parametrize("method", ["full", "bitfit", "prompt"])
def test_another_task_gets_a_head_of_its_own(
    method: str, trained: Callable[..., Run], started: dict[str, Tensor], go_on: GoOn
) -> None:
    before = trained("text-classification", method)
    run = go_on("token-classification", method, before.path)
    assert run.state == "finished", run.reason
    assert run.result["warnings"] == []
    found = _weights(before)
    rest = {name for name in started if "classifier" not in name}
    assert rest and all(equal(started[name], found[name]) for name in rest)
    head = next(name for name in started if name.endswith("classifier.weight"))
    assert started[head].shape != found[head].shape


def test_a_pooler_that_the_source_does_not_have_starts_as_the_base_has_it(
    trained: Callable[..., Run], started: dict[str, Tensor], tiny_bert: Path, go_on: GoOn
) -> None:
    from safetensors.torch import load_file

    before = trained("masked-lm", "full")
    run = go_on("text-classification", "full", before.path)
    assert run.state == "finished", run.reason
    (note,) = run.result["warnings"]
    assert note.startswith("2 trained tensors are of layers") and "bert.pooler" in note
    pooler = "bert.pooler.dense.weight"
    assert equal(started[pooler], load_file(tiny_bert / "model.safetensors")[pooler])


REFUSED: dict[str, tuple[str, str, dict[str, Any], dict[str, Any], str]] = {
    "another rank": ("text-classification", "lora", {}, {"r": 8}, "8 have another shape, e.g."),
    "another scale": ("text-classification", "lora", {}, {"alpha": 4}, "lora_alpha 16.0, this"),
    "another root": ("text-classification", "lora", {}, {"use_rslora": True}, "use_rslora False"),
    "fewer layers": (
        *("text-classification", "lora", {}, {"target_modules": ["query"]}),
        "4 of its tensors are not trained here",
    ),
    "more layers": (
        *("text-classification", "lora", {}, {"target_modules": ["query", "key", "value"]}),
        "4 tensors that this recipe trains are not in it",
    ),
    "own start": ("text-classification", "lora", {}, {"init": "pissa"}, "set method.init: default"),
    "more tokens": (
        "text-classification",
        "prompt",
        {},
        {"num_virtual_tokens": 5},
        "another shape",
    ),
    "projection": (
        "text-classification",
        "prefix",
        {},
        {"projection": True},
        "prompt-encoder adapter",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_other_values_are_refused(case: str, trained: Callable[..., Run], go_on: GoOn) -> None:
    task, method, first, second, told = REFUSED[case]
    before = trained(task, method, **first)
    changed = {**METHODS[method], **second}
    run = go_on(task, changed, before.path)
    assert run.state == "failed"
    assert told in run.reason and "\n  why: " in run.reason and "\n  fix: " in run.reason


@pytest.mark.parametrize(
    ("source", "method", "told"),
    [
        ("lora", "full", "holds an adapter of PEFT, this recipe trains a whole model"),
        ("full", "lora", "holds a whole model, this recipe trains an adapter of PEFT"),
        ("full", "head", "holds a whole model, this recipe trains some of the model's own"),
        ("bitfit", "head", "of its tensors are not trained here"),
        ("lora", "prompt", "tensors that this recipe trains are not in it"),
        ("prompt", "p-tuning", "prompt-encoder adapter"),
    ],
)
def test_another_method_is_refused(
    source: str, method: str, told: str, trained: Callable[..., Run], go_on: GoOn
) -> None:
    before = trained("text-classification", source)
    run = go_on("text-classification", method, before.path)
    assert run.state == "failed" and told in run.reason
    assert not any(event["kind"] == "step" for event in run.events()[0])


def test_what_p_tuning_has_learned_goes_on_as_a_prompt(
    trained: Callable[..., Run], started: dict[str, Tensor], go_on: GoOn
) -> None:
    before = trained("text-classification", "p-tuning")
    run = go_on("text-classification", "prompt", before.path)
    assert run.state == "finished", run.reason
    assert equal(started["prompt_embeddings"], _weights(before)["prompt_embeddings"])


def test_another_base_is_refused(trained: Callable[..., Run], train: Train, tmp_path: Path) -> None:
    before = trained("text-classification", "lora")
    other = make_tiny("bert", tmp_path / "other")
    recipe = small_recipe(
        "text-classification", "lora", other, tmp_path, init_from=str(before.path)
    )
    run = train(recipe, 0, tmp_path / "runs")
    assert run.state == "failed" and "continue from an adapter of the same base" in run.reason


def test_what_is_no_export_is_refused(
    trained: Callable[..., Run], tiny_bert: Path, tmp_path: Path, go_on: GoOn
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(trained("text-classification", "lora").adapter, damaged)
    (damaged / ADAPTER).write_bytes((damaged / ADAPTER).read_bytes()[:-20])
    expected = {
        tmp_path / "nothing": "neither a finished run nor an export",
        tiny_bert: "neither a finished run nor an export",
        damaged: "the file is damaged",
    }
    for source, told in expected.items():
        run = go_on("text-classification", "lora", source)
        assert run.state == "failed" and told in run.reason and "Traceback" not in run.reason


def test_a_relative_path_is_read_from_the_folder_of_the_recipe(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = tmp_path / "runs" / "tiny" / "lora-s0-12345678"
    recipe = small_recipe("text-classification", "lora", tiny_bert, tmp_path)
    (tmp_path / "study").mkdir()
    file = tmp_path / "study" / "after.yaml"
    text = dump_recipe(recipe).replace(
        "init_from: null", "init_from: ../runs/tiny/lora-s0-12345678"
    )
    file.write_text(text)
    monkeypatch.chdir(tiny_bert)
    loaded = load_recipe(file)
    assert loaded.init_from is not None and Path(loaded.init_from).resolve() == before.resolve()
    assert Path(loaded.init_from).is_absolute()


def test_a_run_is_repeated_when_its_start_was_trained_again(
    tiny_bert: Path, tmp_path: Path
) -> None:
    from workbench.pipeline.runner import run_all

    runs, said = tmp_path / "runs", list[str]()

    def run(*recipes: Any, **options: Any) -> list[str]:
        kinds: list[str] = []

        def note(kind: str, fields: dict[str, Any]) -> None:
            kinds.append(kind)
            said.extend([fields["message"]] if kind == "warning" else [])

        results = run_all(recipes, [0], runs, observer=note, **options)
        assert all(each.state == "finished" for each in results), results[-1].reason
        return [kind for kind in kinds if kind in ("skipped", "warning", "finished")]

    first = small_recipe("text-classification", "head", tiny_bert, tmp_path)
    source = runs / "text-classification" / f"head-s0-{first.fingerprint[:8]}"
    after = small_recipe(
        "text-classification", "head", tiny_bert, tmp_path, init_from=str(source), name="after"
    )
    assert run(first, after) == ["finished", "finished"]
    run(first, force=True)
    assert run(after) == ["skipped"], "the same weights came out again"

    (file,) = (source / "adapter").glob("*.safetensors")
    weights = {name: tensor + 1 for name, tensor in load_file(file).items()}
    save_file(weights, file, metadata={"format": "pt"})
    assert run(after) == ["warning", "finished"]
    assert said == [
        f"{source}, which it continues from, has been trained again since this run finished: it "
        "runs again"
    ]
    assert run(after) == ["skipped"]
    shutil.rmtree(source)
    assert run(after) == ["skipped"], "there is nothing to continue from"
