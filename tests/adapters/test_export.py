"""Exports: the plain-load check has teeth, the card's own lines work, nothing is overwritten."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trained_runs import TrainedRuns
from workbench import load_adapter
from workbench.adapters.export import export_run, push
from workbench.adapters.plain_load import compare_outputs
from workbench.errors import ExportError, RunRefused
from workbench.recipe.schema import Recipe
from workbench.store import Run, open_run, read_run

Make = Callable[..., Recipe]


@pytest.fixture(params=["lora", "head", "full"])
def finished(
    request: pytest.FixtureRequest, make_recipe: Make, trained_runs: TrainedRuns, tmp_path: Path
) -> Run:
    """A finished run of each kind of export, the test's own."""
    recipe = make_recipe(request.param, training={"learning_rate": 1e-2, "max_steps": 8})
    return trained_runs.copy(recipe, tmp_path / "runs")


def test_a_folder_that_does_not_do_what_was_recorded_is_not_exported(
    finished: Run, tmp_path: Path
) -> None:
    (weights,) = finished.adapter.glob("*.safetensors")
    tensors = load_file(weights)
    name = next(n for n in tensors if n.endswith("classifier.weight"))
    save_file({**tensors, name: torch.zeros_like(tensors[name])}, weights, {"format": "pt"})
    with pytest.raises(ExportError, match="give other outputs than the run"):
        export_run(finished, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"], "a failed export left something behind"
    save_file(tensors, weights, {"format": "pt"})
    export_run(finished, tmp_path / "out")


@pytest.mark.parametrize(
    "content", [None, "", '{"inputs": [', "[]", "{}", '{"inputs": [], "outputs": [[1.0]]}']
)
def test_without_what_was_recorded_nothing_is_exported(
    content: str | None, finished: Run, tmp_path: Path
) -> None:
    (finished.path / "expected.json").unlink()
    if content is not None:
        (finished.path / "expected.json").write_text(content)
    with pytest.raises(ExportError, match="expected.json is missing or damaged") as raised:
        export_run(finished, tmp_path / "out")
    assert "run the recipe again with --force" in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_another_number_of_outputs_is_refused_in_words(tmp_path: Path) -> None:
    """As when the positions of virtual tokens are counted in."""
    assert compare_outputs([[1.0, 2.0]], [[1.0, 2.0]], tmp_path) == 0
    for plain in ([[1.0, 2.0, 3.0]], [[1.0, 2.0], [3.0]]):
        with pytest.raises(ExportError, match="another number of them"):
            compare_outputs([[1.0, 2.0]], plain, tmp_path)


def test_what_is_recorded_is_the_largest_difference(tmp_path: Path) -> None:
    plain = [[1.0, 2.0002], [-2.9995]]
    assert compare_outputs([[1.0, 2.0], [-3.0]], plain, tmp_path) == pytest.approx(5e-4)


def test_an_existing_target_is_left_alone(finished: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(RunRefused, match="exists already"):
        export_run(finished, tmp_path / "out")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_merged_model_is_plain(finished: Run, tmp_path: Path) -> None:
    import transformers

    folder = export_run(finished, tmp_path / "merged", merge=True)
    assert not (folder / "adapter_config.json").exists()
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        logits = model(**tokenizer("bank profit", return_tensors="pt")).logits[0].tolist()
    expected = load_adapter(finished.path).predict(["bank profit"])[0]["logits"]
    assert logits == pytest.approx(expected, abs=1e-4)
    assert model.config.id2label == {0: "business", 1: "sport", 2: "tech"}


def test_only_finished_runs_are_exported(make_recipe: Make, tmp_path: Path) -> None:
    writer = open_run(tmp_path, make_recipe("lora"), 0)
    writer.close("failed", "no reason")
    with pytest.raises(RunRefused, match="this run is failed"):
        export_run(read_run(writer.path), tmp_path / "out")


def test_what_is_no_export_is_refused(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(ExportError, match="not an export of the workbench"):
        load_adapter(tiny_bert)
    for damaged in ('{"kind": "pe', "[]", json.dumps({"kind": "peft"})):
        (tmp_path / "workbench.json").write_text(damaged)
        with pytest.raises(ExportError, match="not an export of the workbench"):
            load_adapter(tmp_path)


def test_the_loader_reports_a_broken_folder_and_lives_on(plain_loader: Any, tmp_path: Path) -> None:
    request = {
        "folder": str(tmp_path), "base": "x", "revision": None, "auto_class": "AutoModel",
        "kind": "peft", "inputs": [{"text": "a", "text_pair": None}], "max_length": 8,
    }  # fmt: skip
    for _ in range(2):
        with pytest.raises(ExportError, match="plain transformers \\+ PEFT cannot load"):
            plain_loader.outputs(request)


@pytest.mark.parametrize("damage", ["cut off", "not a number", "no head", "other shape", "no file"])
def test_damaged_weights_are_refused_in_words(damage: str, finished: Run, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(finished.adapter, folder)
    (weights,) = folder.glob("*.safetensors")
    tensors = load_file(weights)
    head = next(n for n in tensors if n.endswith("classifier.weight"))
    expected = {
        "cut off": "the file is damaged",
        "not a number": "holds NaN or infinite numbers",
        "no head": "do not fit the base model|initialised at random",
        "other shape": "do not fit the base model",
        "no file": "no \\*.safetensors file here",
    }[damage]
    if damage == "no head" and finished.result["method"] != "lora":
        tensors = {**tensors, "stray.weight": torch.ones(1)}
        if finished.result["method"] == "full":
            return  # transformers ignores a stray tensor of a whole model, which is harmless
    elif damage == "no head":
        del tensors[head]
    elif damage == "not a number":
        tensors[head] = tensors[head] * float("nan")
    elif damage == "other shape":
        tensors[head] = torch.ones(3, 7)
    save_file(tensors, weights, {"format": "pt"})
    if damage == "cut off":
        weights.write_bytes(weights.read_bytes()[:-20])
    if damage == "no file":
        weights.unlink()
    with pytest.raises(ExportError, match=expected):
        load_adapter(folder)


def test_push_uploads_what_was_checked(finished: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    calls: list[tuple[str, Any]] = []

    class Hub:
        def create_repo(self, name: str, **options: Any) -> None:
            calls.append((name, options))

        def upload_folder(self, repo_id: str, folder_path: Path) -> Any:
            calls.append((repo_id, sorted(p.name for p in folder_path.iterdir())))
            return type("Commit", (), {"commit_url": f"https://hub/{repo_id}"})

    monkeypatch.setattr(huggingface_hub, "HfApi", Hub)
    monkeypatch.setattr("workbench.assets.hub.why_unreachable", lambda: None)
    assert push(finished.adapter, "me/mine") == "https://hub/me/mine"
    assert calls[0] == ("me/mine", {"private": True, "exist_ok": True})
    assert "README.md" in calls[1][1]

    def unreachable(self: Hub, name: str, **_: Any) -> None:
        raise ConnectionError("no route to the Hub")

    monkeypatch.setattr(Hub, "create_repo", unreachable)
    with pytest.raises(ExportError, match="did not take the upload: no route to the Hub"):
        push(finished.adapter, "me/mine")


def test_a_prefix_on_a_model_that_takes_none_is_refused(
    tiny_distilbert: Path, make_recipe: Make, train: Callable[..., Run], tmp_path: Path
) -> None:
    recipe = make_recipe("prefix", model={"source": str(tiny_distilbert)})
    run = train(recipe, 0, tmp_path)
    assert run.state == "failed"
    assert "distilbert cannot be given a prefix" in run.reason and "prompt" in run.reason


def test_an_edited_card_goes_with_the_copy_and_leaves_the_run_as_it_is(
    finished: Run, tmp_path: Path
) -> None:
    own = (finished.adapter / "README.md").read_text(encoding="utf-8")
    folder = export_run(finished, tmp_path / "out", card="# Mine\n")
    assert (folder / "README.md").read_text(encoding="utf-8") == "# Mine\n"
    assert (finished.adapter / "README.md").read_text(encoding="utf-8") == own
