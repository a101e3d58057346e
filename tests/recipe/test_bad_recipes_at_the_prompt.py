"""What a stranger types wrong: the command says all of it, ends with 2 and leaves nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub.constants import HF_HUB_CACHE

from workbench.cli import main
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe

RECIPE = """\
task: {name: text-classification}
model: {source: MODEL, max_length: 16}
data: {source: DATA, validation_size: 16, test_size: 24}
method:
  name: lora
training:
  learning_rate: 3e-3
  batch_size: 8
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("learning_rate", "learnig_rate",
         ["r.yaml:7: training.learnig_rate: unknown key", "Did you mean learning_rate?"]),
        ("3e-3", ".inf", ["r.yaml:7: training.learning_rate: found inf, must be a number above 0"]),
        ("3e-3", ".nan", ["r.yaml:7: training.learning_rate: found nan"]),
        ("3e-3", "-1e-3", ["r.yaml:7: training.learning_rate: found -0.001"]),
        ("3e-3", '"fast"', ["r.yaml:7: training.learning_rate", '"fast"', "must be a number"]),
        ("lora", "lora\n  r: 0", ["r.yaml:6: method.r: found 0", "from 1 to 1024"]),
        ("lora", "lora\n  dropout: 1.5", ["r.yaml:6: method.dropout: found 1.5", "below 1"]),
        ("lora", "prompt\n  num_virtual_tokens: 0",
         ["r.yaml:6: method.num_virtual_tokens: found 0", "from 1 to 512"]),
        ("lora", "prefix\n  num_virtual_tokens: -3",
         ["r.yaml:6: method.num_virtual_tokens: found -3", "from 1 to 512"]),
        ("lora", "prefix\n  r: 8", ["r.yaml:6: method.r: `r` belongs to method lora"]),
        ("lora", "lroa", ["r.yaml:5: method.name", "Did you mean lora?"]),
        ("lora", "lora\n  target_modules: []",
         ["r.yaml:6: method.target_modules", "adapts nothing"]),
        ("lora", "peft\n  type: LOHAA", ["r.yaml:6: method.type", "Did you mean LOHA?"]),
        ("batch_size: 8", "batch_size: 0", ["r.yaml:8: training.batch_size: found 0"]),
        ("batch_size: 8", "precision: fp16",
         ["r.yaml:8: training.precision: found \"fp16\", must be one of auto, fp32, bf16"]),
        ("batch_size: 8", "device: cuda", ["r.yaml:8: training.device: unknown key"]),
        ("MODEL", "asset:minilm", ["r.yaml:2: model.source", "Did you mean minilm-l6?"]),
        ("MODEL", "./nowhere", ["r.yaml:2: model.source: no such file or folder", "nowhere"]),
        ("DATA", "./none.csv", ["r.yaml:3: data.source: no such file or folder", "none.csv"]),
        ("text-classification", "regression", ["r.yaml:1: task.name", "which is not a task"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_bad_recipe_ends_with_2(
    command: str, old: str, new: str, words: list[str], tiny_bert: Path, topics_file: Path,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    text = RECIPE.replace(old, new, 1)
    text = text.replace("MODEL", str(tiny_bert)).replace("DATA", str(topics_file))
    (tmp_path / "r.yaml").write_text(text)
    assert main([command, "r.yaml"]) == 2
    out, err = capsys.readouterr()
    assert all(word in err for word in words), err
    assert "nothing was loaded or run" in err and "Traceback" not in out + err
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ({"method": {"name": "lora", "target_modules": ["query", "q_prj"]}},
         ["method.target_modules", "no layer of the model is called 'q_prj'", "choose from",
          "query"]),
        ({"method": {"name": "ia3", "target_modules": ["key", "valeu"], "feedforward": []}},
         ["method.target_modules", "no layer of the model is called 'valeu'; did you mean value?"]),
        ({"method": {"name": "peft", "type": "LOHA", "config": {"target_modules": ["qurey"]}}},
         ["method.config.target_modules", "'qurey'; did you mean query?"]),
        ({"method": {"name": "peft", "type": "LOHA", "config": {"rr": 1}}},
         ["method.config.rr", "has no field 'rr'"]),
        ({"method": {"name": "prompt", "num_virtual_tokens": 60}},
         ["16 tokens of text and 60 virtual tokens need 76 positions", "has 64",
          "set model.max_length to 4 or less"]),
        ({"model": {"max_length": 65}}, ["need 65 positions", "has 64", "64 or less"]),
    ],
)  # fmt: skip
def test_what_only_the_model_knows_is_told_by_plan_before_any_weight_is_read(
    sections: dict[str, dict[str, object]], words: list[str], make_recipe: Callable[..., Recipe],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    method = sections.get("method", {"name": "lora"})
    rest = {name: section for name, section in sections.items() if name != "method"}
    (tmp_path / "r.yaml").write_text(dump_recipe(make_recipe(method, **rest)))
    assert main(["plan", "r.yaml"]) == 2
    err = capsys.readouterr().err
    assert all(word in err for word in words), err
    assert "Traceback" not in err
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


def test_an_offline_model_is_refused_without_a_connection(
    make_recipe: Callable[..., Recipe],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe(model={"source": "somebody/not-cached"})
    (tmp_path / "r.yaml").write_text(dump_recipe(recipe))
    assert main(["plan", "r.yaml"]) == 2
    err = capsys.readouterr().err
    assert "model.source: cannot load the model 'somebody/not-cached'" in err
    assert f"reachable or cached (in {HF_HUB_CACHE})" in err and "Traceback" not in err


def test_more_processes_than_gpus_start_nothing(
    make_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    (tmp_path / "r.yaml").write_text(dump_recipe(make_recipe()))
    assert main(["run", "r.yaml", "--processes", "2"]) == 2
    err = capsys.readouterr().err
    assert "2 processes for 1 GPU" in err and "CUDA_VISIBLE_DEVICES=" in err
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()
