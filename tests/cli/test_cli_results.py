"""``compare``, ``predict`` and ``assets``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch


def test_compare_takes_studies_by_name(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run()
    answer = workbench("compare", "s", "--runs", tmp_path / "runs", "--json")
    assert answer.code == 0 and set(answer.json) >= {"rows", "warnings"}
    assert workbench("compare", tmp_path / "runs", "--format", "zzz").code == 2


def test_compare_tests_shows_the_front_and_what_differs(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    path = make_run() / "result.json"
    more = {"fingerprint": "f" * 64, "comparability": {"data": "d"}, "adapter_bytes": 10}
    path.write_text(json.dumps(json.loads(path.read_text()) | more))
    asked = ["compare", "s", "--runs", tmp_path / "runs"]
    content = workbench(*asked, "--json", "--pareto", "metric, adapter_bytes").json
    assert content["pareto_objectives"] == ["metric", "adapter_bytes"]
    assert "Pareto" in workbench(*asked, "--pareto", "metric,adapter_bytes").out
    assert "Pareto" not in workbench(*asked, "--no-tests", "--all-pairs").out
    (group,) = workbench(*asked, "--config-diff", "--json").json["differences"]
    assert group["settings"] == {} and len(group["rows"]) == 1
    assert "differ in name only" in workbench(*asked, "--config-diff").out
    for wrong in (
        ["--config-diff", "--format", "csv"],
        ["--pareto", "x"],
        ["--min-difference", "-1"],
        ["--explain", "--json"],
        ["--explain", "--across"],
    ):
        assert workbench(*asked, *wrong).code == 2
    answer = workbench(*asked, "--metric", "accurcy")
    assert answer.code == 2 and "Did you mean accuracy?" in answer.err


def test_a_folder_without_runs_does_not_hide_the_study_of_its_name(
    workbench: Callable[..., Any], make_run: Callable[..., Path], tmp_path: Path
) -> None:
    make_run()
    Path("s").mkdir()
    warnings = workbench("compare", "s", "--runs", tmp_path / "runs", "--json").json["warnings"]
    assert not any("no runs below" in warning for warning in warnings)


def test_predict_reads_texts_and_pairs(
    workbench: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def load_adapters(folders: list[Path]) -> list[Any]:
        return [load(folder) for folder in folders]

    def load(folder: Path) -> Any:
        def predict(texts: list[str], pairs: list[str] | None) -> list[dict[str, Any]]:
            asked.append((folder.name, texts, pairs))
            return [{"text": t, "prediction": "a", "score": 0.5, "logits": [0.0]} for t in texts]

        return SimpleNamespace(predict=predict, model=torch.nn.Linear(2, 2))

    monkeypatch.setattr("workbench.adapters.loaded.load_adapters", load_adapters)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts.txt").write_text("b\n\nc\n")
    answer = workbench(
        "predict", tmp_path / "one", tmp_path / "two", "--text", "a",
        "--file", tmp_path / "texts.txt", "--json",
    )  # fmt: skip
    assert asked == [(name, ["a", "b", "c"], None) for name in ("one", "two")]
    assert len(answer.json["predictions"]) == 6
    (tmp_path / "texts.txt").write_text("b\tB\n")
    out = workbench("predict", tmp_path / "one", "--file", tmp_path / "texts.txt").out
    assert asked[-1] == ("one", ["b"], ["B"]) and "0.5000" in out
    one = tmp_path / "one"
    assert (
        "give every text a second one"
        in workbench("predict", one, "--text", "x", "--file", tmp_path / "texts.txt").err
    )
    (tmp_path / "texts.txt").write_bytes(b"\xff")
    for given in ([], ["--file", tmp_path / "texts.txt"], ["--file", tmp_path / "none"]):
        assert workbench("predict", one, *given).code == 2


Answers = Callable[[list[str], list[str] | None], list[dict[str, Any]]]


@pytest.fixture
def answering(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Answers], Path]:
    """A folder that is an adapter which answers in a given way."""

    def write(answers: Answers) -> Path:
        adapter = SimpleNamespace(predict=answers, model=torch.nn.Linear(2, 2))
        monkeypatch.setattr(
            "workbench.adapters.loaded.load_adapters", lambda folders: [adapter for _ in folders]
        )
        (tmp_path / "one").mkdir(exist_ok=True)
        return tmp_path / "one"

    return write


def test_predict_answers_questions_about_long_texts(
    workbench: Callable[..., Any], answering: Callable[[Answers], Path]
) -> None:
    def answers(texts: list[str], pairs: list[str] | None) -> list[dict[str, Any]]:
        return [
            {"text": text, "text_pair": pair, "prediction": "", "score": 0.25}
            for text, pair in zip(texts, pairs or [], strict=True)
        ]

    context = "Norway lies\nin the north of Europe. " * 20
    folder = answering(answers)
    given = ["predict", folder, "--text", context, "--pair", "Where is Norway?"]
    header, _, line = workbench(*given).out.splitlines()
    assert header.split() == ["prediction", "score", "text", "text_pair"]
    assert line.split()[:2] == ["–", "0.2500"] and line.endswith("  Where is Norway?")
    assert "Norway lies in the north of Europe. Norway" in line and "…" in line
    assert len(line) < 120
    assert workbench(*given, "--json").json["predictions"][0]["text"] == context


def test_predict_shows_what_each_task_answers_and_no_pair_that_it_ignored(
    workbench: Callable[..., Any], answering: Callable[[Answers], Path]
) -> None:
    def answers(texts: list[str], pairs: list[str] | None) -> list[dict[str, Any]]:
        tagged = {"text": texts[0], "prediction": "B-LOC O O", "score": None}
        return [tagged, {**tagged, "prediction": "A text that was\n\nwritten."}]

    folder = answering(answers)
    out = workbench("predict", folder, "--text", "Norway is cold", "--pair", "x").out
    header, _, tags, written = out.splitlines()
    assert header.split() == ["prediction", "score", "text"]
    assert tags.split() == ["B-LOC", "O", "O", "–", "Norway", "is", "cold"]
    assert written.startswith("A text that was  written.")


def test_predict_needs_a_run_with_an_adapter(
    workbench: Callable[..., Any], make_run: Callable[..., Path]
) -> None:
    answer = workbench("predict", make_run(state="failed"), "--text", "x")
    assert answer.code == 2 and "this run is failed and has no adapter" in answer.err


def test_assets_are_listed(workbench: Callable[..., Any]) -> None:
    rows = workbench("assets", "--json").json["assets"]
    assert {"minilm-l6", "bbc-news"} <= {row["name"] for row in rows}
    assert "asset:minilm-l6" in workbench("assets").out
    answer = workbench("assets", "pull", "minilm")
    assert answer.code == 1 and "minilm-l6" in answer.err
