"""A foreign adapter is taken in if it fits, used as its maker uses it, and refused otherwise."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from workbench.cli import main
from workbench.errors import UsageError, WorkbenchError
from workbench.importing import Proposal, import_adapter, propose
from workbench.inference import load_adapter
from workbench.recipe.schema import Recipe
from workbench.store import Run

Pack = Callable[..., Path]
TEXT = "the team and the player"


def taken(source: Path, to: Path, base: Path | str | None, **more: Any) -> Path:
    return import_adapter(
        source, to, base=str(base) if base else None, confirm=lambda _: True, **more
    )


def refusal(source: Path, base: Path | str | None, **more: Any) -> str:
    """The message, after which nothing is left where the adapter would have been."""
    place = source.parent / "imported"
    with pytest.raises(WorkbenchError) as caught:
        taken(source, place / "mine", base, **more)
    assert not list(place.iterdir())
    return str(caught.value)


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
    method = {"name": "lora", "r": 4, "targets": ["query", "value"]}
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
        ("../model", ["which is no name of the Hub", "pass --base MODEL"]),
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
    assert main(["import", str(adapter), "--to", str(tmp_path / "mine"), *options]) == code
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
    assert main(["import", str(source), "--to", str(tmp_path / "mine")]) == 2
    err = capsys.readouterr().err
    assert "base model: somebody/model" in err and "nobody can be asked here" in err
    assert main(["import", str(source), "--to", str(tmp_path / "mine"), "--yes"]) == 0
    about = json.loads((tmp_path / "mine" / "workbench.json").read_text())
    assert (about["base"], about["revision"]) == ("somebody/model", None)


# --- config ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"peft_type": "LoRa"}, ["adapter_config.json: peft_type", "Did you mean LORA?"]),
        ({"peft_type": "XLORA"}, ["names other adapters"]),
        ({"task_type": None}, ["task_type", "SEQ_CLS"]),
        ({"task_type": ["SEQ_CLS"]}, ["task_type", "SEQ_CLS"]),
        ({"auto_mapping": {"base_model_class": "system", "parent_library": "os"}},
         ["auto_mapping", "no code of a stranger is"]),
        ({"megatron_core": "os"}, ["megatron_core", "names a module"]),
        ({"megatron_config": {"a": 1}}, ["megatron_config"]),
        ({"tokenizer_kwargs": {"a": 1}}, ["tokenizer_kwargs"]),
        ({"loftq_config": {"trust_remote_code": True}}, ["loftq_config.trust_remote_code"]),
        ({"init_lora_weights": "eva"}, ["init_lora_weights", "converted to a plain LoRA"]),
        ({"r": 10**9}, ["adapter_config.json: r", "from 1 to 8,192"]),
        ({"r": 0}, ["adapter_config.json: r", "from 1 to 8,192"]),
        ({"r": 6}, ["r is 6", "rank 4"]),
        ({"rank_pattern": {"query": 10**9}}, ["rank_pattern.query"]),
        ({"lora_alpha": 1e300}, ["lora_alpha", "more than 1,000,000"]),
        ({"exclude_modules": "a" * 3000}, ["exclude_modules", "2,000 characters"]),
        ({"newer_field": {"on": True}}, ["has no field 'newer_field'", "a newer PEFT"]),
        ({"lora_alhpa": 8}, ["Did you mean lora_alpha?"]),
        ({"target_modules": ["query", "valeu"]}, ["4 tensors have no place", "value"]),
        ({"target_modules": ["query", "value", "key"]}, ["tensors are missing", "key"]),
        ({"target_modules": ["nothing"]}, ["PEFT cannot put it on bert"]),
    ],
)  # fmt: skip
def test_a_config_that_is_not_taken(
    values: dict[str, Any], words: list[str], configured: Pack, tiny_bert: Path
) -> None:
    message = refusal(configured(**values), tiny_bert)
    assert all(word in message for word in words), message


def test_a_newer_field_that_is_unused_changes_nothing(
    configured: Pack, tiny_bert: Path, tmp_path: Path
) -> None:
    source = configured(newer_field=None, another={}, a_third=False)
    assert load_adapter(taken(source, tmp_path / "mine", tiny_bert)).predict([TEXT])


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"r": NaN}', '{"r": 1, "r": 2}', "[" * 100_000, "\udcff"]
)
def test_a_config_that_is_not_readable(text: str, adapter: Path) -> None:
    (adapter / "adapter_config.json").write_text(text, errors="surrogateescape")
    assert "adapter_config.json: not readable" in refusal(adapter, None)


# --- weights --------------------------------------------------------------------------------


def _changed(adapter: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> Path:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    return adapter


HEAD = "base_model.model.classifier.weight"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_numbers_that_are_none_are_refused(
    value: float, dtype: torch.dtype, adapter: Path, tiny_bert: Path
) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors[HEAD] = tensors[HEAD].to(dtype)
        tensors[HEAD][1, 2] = value

    message = refusal(_changed(adapter, spoil), tiny_bert)
    assert f"'{HEAD}' holds NaN or infinite numbers" in message


def test_a_missing_head_is_named(adapter: Path, tiny_bert: Path) -> None:
    message = refusal(_changed(adapter, lambda tensors: tensors.pop(HEAD)), tiny_bert)
    assert f"the task head is missing: there is no tensor {HEAD}" in message
    assert "modules_to_save" in message


def test_half_a_head_is_named(adapter: Path, tiny_bert: Path) -> None:
    bias = "base_model.model.classifier.bias"
    message = refusal(_changed(adapter, lambda tensors: tensors.pop(bias)), tiny_bert)
    assert f"there is no tensor {bias}" in message


def test_labels_are_as_many_as_outputs(adapter: Path, tiny_bert: Path) -> None:
    message = refusal(adapter, tiny_bert, labels=["a", "b"])
    assert '2 labels (["a", "b"]) for a head with 3 outputs' in message and "--label" in message
    (adapter / "config.json").write_text(json.dumps({"id2label": {"0": "a", "1": "b"}}))
    assert "id2label" in refusal(adapter, tiny_bert)


def test_weights_that_are_cut_off(adapter: Path, tiny_bert: Path) -> None:
    path = adapter / "adapter_model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])
    assert "it is cut off" in refusal(adapter, tiny_bert)


# --- what arrives ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("adapter_model.bin", "is a pickle"),
        ("training_args.bin", "is a pickle"),
        ("optimizer.pt", "is a pickle"),
        ("modeling_evil.py", "is no file of an adapter"),
        ("model.safetensors", "a whole model is no adapter"),
        ("trained_weights.safetensors", "some of the model's own weights"),
        ("status.json", "is no file of an adapter"),
    ],
)
def test_other_files_are_refused_by_name(
    name: str, words: str, adapter: Path, zipped: Pack, tiny_bert: Path
) -> None:
    assert words in refusal(zipped((name, "x")), tiny_bert)
    (adapter / name).write_text("x")
    message = refusal(adapter, tiny_bert)
    assert words in message and name in message


def test_folders_and_links_are_refused_and_hidden_entries_left_behind(
    adapter: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    (adapter / ".cache").mkdir()
    assert taken(adapter, tmp_path / "mine", tiny_bert).is_dir()
    assert not (tmp_path / "mine" / ".cache").exists()
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (adapter / "README.md").unlink()
    (adapter / "README.md").symlink_to(secret)
    assert f"README.md: a link, to {secret}" in refusal(adapter, tiny_bert)
    (adapter / "README.md").unlink()
    (adapter / "README.md").mkdir()
    assert "not a regular file" in refusal(adapter, tiny_bert)


def _link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("../vocab.txt", "leads out of its folder"),
        ("a/../../vocab.txt", "leads out of its folder"),
        ("/etc/vocab.txt", "leads out of its folder"),
        ("./vocab.txt", "leads out of its folder"),
        ("C:/vocab.txt", "a name that is not the same everywhere"),
        ("..\\vocab.txt", "a name that is not the same everywhere"),
        ("vocab.txt\n", "a name that is not the same everywhere"),
        ("deeper/vocab.txt", "'deeper/vocab.txt' is no file of an adapter"),
        ("README.MD", "'README.MD' is no file of an adapter"),
        (_link("vocab.txt"), "is a link"),
    ],
)
def test_entries_of_a_zip_that_are_refused(
    entry: str | zipfile.ZipInfo, words: str, zipped: Pack, tiny_bert: Path, tmp_path: Path
) -> None:
    before = {path for path in tmp_path.rglob("vocab.txt")}
    assert words in refusal(zipped((entry, "x")), tiny_bert)
    assert {path for path in tmp_path.rglob("vocab.txt")} == before


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice(zipped: Pack, tiny_bert: Path) -> None:
    assert "README.md is in it twice" in refusal(zipped(("README.md", "other")), tiny_bert)


def test_bombs_are_refused_unopened(zipped: Pack, adapter: Path, tiny_bert: Path) -> None:
    message = refusal(zipped(("vocab.txt", "0" * 90_000_000)), tiny_bert)
    assert "would grow from" in message and "to 90,000,000 bytes" in message
    many = [(f"{number}.txt", "x") for number in range(100)]
    assert "more than 64 entries" in refusal(zipped(*many), tiny_bert)
    (adapter / "README.md").write_text("x" * 10_000_001)
    assert "more than 10,000,000 bytes are refused" in refusal(adapter, tiny_bert)


@pytest.mark.parametrize("cut", [-1, 100, 3000])
def test_a_damaged_zip(cut: int, zipped: Pack, tiny_bert: Path) -> None:
    path = zipped()
    content = bytearray(path.read_bytes())
    if cut < 0:
        path.write_bytes(content[: len(content) // 2])
        assert "neither a folder nor a zip" in refusal(path, tiny_bert)
        return
    content[cut] ^= 0xFF
    path.write_bytes(content)
    refusal(path, tiny_bert)


def test_a_tokenizer_with_code_is_refused(adapter: Path, tiny_bert: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((tiny_bert / name).read_bytes())
    config = json.loads((tiny_bert / "tokenizer_config.json").read_text())
    config["auto_map"] = {"AutoTokenizer": ["evil.Evil", None]}
    (adapter / "tokenizer_config.json").write_text(json.dumps(config))
    assert "a tokenizer with code of its own" in refusal(adapter, tiny_bert)


def test_what_is_there_already_is_left_alone(
    adapter: Path, tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").write_text("x")
    assert main(["import", str(adapter), "--to", str(tmp_path / "mine"), "--yes"]) == 3
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
    program = "import sys, workbench.importing; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
