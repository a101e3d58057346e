"""A foreign adapter is taken in if it fits, and used as its maker uses it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.adapters.foreign.importing import Pack, refusal, taken
from workbench.adapters.foreign import Proposal, import_adapter, propose
from workbench.adapters.loaded import load_adapter
from workbench.cli import main
from workbench.errors import UsageError
from workbench.recipe.schema import Recipe
from workbench.store import Run

TEXT = "the team and the player"


# --- what is taken --------------------------------------------------------------------------


@pytest.mark.parametrize("packed", ["folder", "zip", "zip of a folder"])
def test_it_answers_as_plain_peft_does(
    packed: str, adapter: Path, zipped: Pack, tiny_bert: Path, tmp_path: Path
) -> None:
    source = adapter if packed == "folder" else zipped(inside="a/" if "folder" in packed else "")
    folder = taken(source, tmp_path / "mine", tiny_bert, labels=["x", "y", "z"])
    (row,) = load_adapter(folder).predict([TEXT])

    plain = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=3)
    model = PeftModel.from_pretrained(plain, adapter).eval()
    tokens = AutoTokenizer.from_pretrained(tiny_bert)(TEXT, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**tokens).logits[0]
    assert row["prediction"] == "xyz"[int(logits.argmax())]
    assert row["score"] == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)


def test_without_names_labels_are_numbered(adapter: Path, tiny_bert: Path, tmp_path: Path) -> None:
    folder = taken(adapter, tmp_path / "mine", tiny_bert)
    (row,) = load_adapter(folder).predict([TEXT])
    assert row["prediction"] in ("LABEL_0", "LABEL_1", "LABEL_2")


def test_a_prompt_keeps_no_word_of_how_it_began(tiny_bert: Path, tmp_path: Path) -> None:
    plain = AutoModelForSequenceClassification.from_pretrained(tiny_bert, num_labels=2)
    config = PromptTuningConfig(
        task_type="SEQ_CLS",
        num_virtual_tokens=3,
        prompt_tuning_init="TEXT",
        prompt_tuning_init_text="the goal",
        tokenizer_name_or_path=str(tiny_bert),
    )
    get_peft_model(plain, config).save_pretrained(tmp_path / "theirs")
    folder = taken(tmp_path / "theirs", tmp_path / "mine", tiny_bert)
    assert load_adapter(folder).virtual_tokens == 3
    kept = json.loads((folder / "adapter_config.json").read_text())
    assert kept["tokenizer_name_or_path"] is None and kept["prompt_tuning_init"] == "RANDOM"
    load_adapter(folder).predict([TEXT])


def test_an_export_comes_home_with_its_labels_and_is_gone_on_from(
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    zipped: Pack,
    tiny_bert: Path,
    tmp_path: Path,
) -> None:
    method = {"name": "lora", "r": 4, "target_modules": ["query", "value"]}
    once = {"max_steps": 2, "epochs": 1}
    run = train(make_recipe(method, training=once), seed=0, runs_dir=tmp_path / "runs")
    folder = taken(run.adapter, tmp_path / "mine", tiny_bert)
    about = [json.loads((f / "workbench.json").read_text()) for f in (run.adapter, folder)]
    assert about[0] == about[1]
    theirs, ours = (load_adapter(f).predict([TEXT]) for f in (run.adapter, folder))
    assert theirs == ours
    again = make_recipe(method, training=once, init_from=str(folder), name="again")
    assert train(again, seed=0, runs_dir=tmp_path / "runs").state == "finished"


def test_it_is_no_run_to_resume(
    adapter: Path, tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = taken(adapter, tmp_path / "mine", tiny_bert)
    assert main(["resume", str(folder), "--runs", str(tmp_path)]) == 3
    assert "no run called" in capsys.readouterr().err


# --- the base model -------------------------------------------------------------------------


def test_the_base_is_shown_and_asked_about(adapter: Path, tiny_bert: Path, tmp_path: Path) -> None:
    seen: list[Proposal] = []
    with pytest.raises(UsageError, match="the base model was not confirmed"):
        import_adapter(
            adapter,
            tmp_path / "mine",
            base=str(tiny_bert),
            confirm=lambda proposal: bool(seen.append(proposal)),
        )
    (proposal,) = seen
    assert (proposal.method, proposal.task) == ("LORA", "text-classification")
    assert proposal.base == proposal.named_base == str(tiny_bert)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("somebody/model", ["somebody/model is not on this machine", "hf download somebody/model"]),
        ("sentence-transformers/all-MiniLM-L6-v2", ["workbench assets pull minilm-l6"]),
        ("/home/them/model", ["names '/home/them/model'", "pass --base MODEL"]),
        ("../model", ["which is not a name of the Hub", "pass --base MODEL"]),
        (None, ["does not say which base it was trained on", "--base"]),
    ],
)
def test_a_base_that_is_not_here_is_not_fetched(
    named: str | None, words: list[str], configured: Pack
) -> None:
    message = refusal(configured(base_model_name_or_path=named), None)
    assert all(word in message for word in words)


def test_a_revision_is_part_of_the_command(configured: Pack) -> None:
    source = configured(base_model_name_or_path="somebody/model", revision="abc")
    assert "`hf download somebody/model --revision abc`" in refusal(source, None)


def test_another_base_is_refused_by_its_shapes(adapter: Path, wider_bert: Path) -> None:
    message = refusal(adapter, wider_bert)
    assert "tensors have another shape, e.g. base_model.model." in message
    assert "--base" in message


@pytest.mark.parametrize(("options", "code"), [([], 2), (["--yes"], 2), (["--base"], 0)])
def test_the_command_asks_or_is_told(
    options: list[str],
    code: int,
    adapter: Path,
    tiny_bert: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = [*options, str(tiny_bert)] if "--base" in options else options
    assert main(["import", str(adapter), "--output", str(tmp_path / "mine"), *options]) == code
    out, err = capsys.readouterr()
    if code:
        assert "pass --base MODEL" in err and not (tmp_path / "mine").exists()
        return
    assert f"base model: {tiny_bert}" in err and out.strip() == str(tmp_path / "mine")
    assert main(["predict", str(tmp_path / "mine"), "--text", TEXT, "--json"]) == 0
    assert "LABEL_" in capsys.readouterr().out


def test_nobody_to_ask_is_said(
    configured: Pack, tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    snapshot = tmp_path / "hub/models--somebody--model/snapshots/abc"
    snapshot.parent.mkdir(parents=True)
    snapshot.symlink_to(tiny_bert)
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache", lambda *_, **__: str(snapshot / "config.json")
    )
    source = configured(base_model_name_or_path="somebody/model")
    assert main(["import", str(source), "--output", str(tmp_path / "mine")]) == 2
    err = capsys.readouterr().err
    assert "base model: somebody/model" in err and "this is not a terminal" in err
    assert main(["import", str(source), "--output", str(tmp_path / "mine"), "--yes"]) == 0
    about = json.loads((tmp_path / "mine" / "workbench.json").read_text())
    assert (about["base"], about["revision"]) == ("somebody/model", None)


# --- where it goes --------------------------------------------------------------------------


def test_what_is_there_already_is_left_alone(
    adapter: Path, tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("x")
    assert main(["import", str(adapter), "--output", str(tmp_path / "mine"), "--yes"]) == 3
    assert "the target exists already" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["kept"]


def test_another_adapter_is_not_gone_on_from(
    adapter: Path,
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tiny_bert: Path,
    tmp_path: Path,
) -> None:
    folder = taken(adapter, tmp_path / "mine", tiny_bert)
    other = make_recipe({"name": "lora", "r": 8}, init_from=str(folder))
    run = train(other, seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "failed" and "copy the method section" in run.reason


def test_a_look_says_what_the_import_would_ask_and_keeps_nothing(
    adapter: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    asked: list[Proposal] = []

    def no(proposal: Proposal) -> bool:
        asked.append(proposal)
        return False

    before = sorted(tmp_path.rglob("*"))
    seen = propose(adapter, base=str(tiny_bert))
    with pytest.raises(UsageError, match="not confirmed"):
        import_adapter(adapter, tmp_path / "taken", confirm=no, base=str(tiny_bert))
    assert asked == [seen]
    assert sorted(tmp_path.rglob("*")) == before
    program = "import sys, workbench.adapters.foreign; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
