"""What was changed by hand in a study that `workbench new` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.own_data import KINDS
from workbench.new_study import Choices, inspect, write_study
from workbench.new_study.existing import Study, read_study
from workbench.new_study.hand_edits import hand_edits
from workbench.new_study.questions import Reason

ASKED = ("learning_rate", "epochs", "batch_size")


def written(tmp_path: Path, kind: str = "reviews.csv", **more: object) -> Path:
    """The folder of a study of some data, with the lengths that a plan would have found."""
    source = KINDS[kind][0](tmp_path / kind)
    choices = Choices(name="mine", source=str(source), keep_labels=True,
                      data={"unusable_rows": "drop"}, **more)  # fmt: skip
    draft = inspect(choices, tmp_path / "my-data").checked.draft
    draft = draft.with_value("model", Reason("max_length", "128 tokens", "half have fewer"), 128)
    if draft.recipes()[0].task.writes:
        reason = Reason("decoding", "24 new tokens", "most have fewer")
        draft = draft.with_value("task", reason, {"max_new_tokens": 24})
    folder = tmp_path / "my-recipes" / "mine"
    write_study(draft, folder)
    return folder


def read(folder: Path) -> Study:
    return read_study("mine", folder.parents[1] / "runs", folder.parent)


def edit(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_as_it_was_made_has_no_hand_edits(kind: str, tmp_path: Path) -> None:
    found = hand_edits(read(written(tmp_path, kind)), ASKED)
    found.given.pop("problem_type", None)  # of several labels a text, which is not asked about
    assert not found.given and not found.shared and not any(found.own.values())
    assert not found.alone and found.model is None


def test_what_was_changed_by_hand_is_found(tmp_path: Path) -> None:
    folder = written(tmp_path)
    base = folder / "_base.yaml"
    edit(base, "  max_length: 128\n", "  max_length: 96\n  dtype: fp32\n")
    edit(base, "  test_size: 0.2\n", "  test_size: 0.3\n  validation_size: 40\n")
    edit(base, "  group: author\n", "")
    edit(base, "  epochs: ", "  precision: fp32\n  epochs: 1")
    edit(base, "seeds:", "evaluation:\n  retention: false\nseeds:")
    with open(folder / "full.yaml", "a", encoding="utf-8") as file:
        file.write("  max_grad_norm: null\n")
    found = hand_edits(read(folder), ASKED)
    assert found.given == {"group": ""}
    assert found.shared == {
        "model.max_length": 96,
        "model.dtype": "fp32",
        "data.test_size": 0.3,
        "data.validation_size": 40,
        "training.precision": "fp32",
        "evaluation.retention": False,
    }
    assert found.own["full"] == {"training.max_grad_norm": None} and not found.own["lora"]


def test_what_one_method_has_for_itself_is_named(tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / "_short.yaml").write_text(
        (folder / "_base.yaml").read_text().replace("  max_length: 128\n", "  max_length: 64\n")
    )
    edit(folder / "lora.yaml", "base: _base.yaml", "base: _short.yaml\nname: small")
    with open(folder / "full.yaml", "a", encoding="utf-8") as file:
        file.write("data: {train_size: 90}\nseeds: [7]\n")
    found = hand_edits(read(folder), ASKED)
    assert found.alone == [
        "full: data.train_size=90",
        "full: seeds=[7]",
        "lora: model.max_length=64",
    ]
    assert not found.shared


def test_another_base_model_by_hand_is_found(tmp_path: Path) -> None:
    folder = written(tmp_path)
    edit(folder / "_base.yaml", "source: asset:minilm-l6", "source: me/my-bert")
    assert hand_edits(read(folder), ASKED).model == "me/my-bert"
    (tmp_path / "chosen").mkdir()
    chosen = written(tmp_path / "chosen", model="asset:minilm-l6")
    assert hand_edits(read(chosen), ASKED).model == "asset:minilm-l6"


@pytest.mark.parametrize("text", ["", "[", "- a\n", "task: 3\nmodel: {max_length: [1]}\n", "\x00"])
def test_files_that_are_no_recipes_have_none(text: str, tmp_path: Path) -> None:
    folder = written(tmp_path)
    study = read(folder)
    (folder / "_base.yaml").write_text(text, encoding="utf-8")
    (folder / "lora.yaml").write_text("training: 7\n", encoding="utf-8")
    found = hand_edits(study, ASKED)
    assert not any(found.own.values()) and "seeds" not in found.shared
