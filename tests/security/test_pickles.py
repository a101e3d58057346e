"""A pickle runs code when it is loaded: none is, wherever one lies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import BertForPreTraining

from tests.trained_runs import TrainedRuns
from workbench.adapters.foreign import import_adapter
from workbench.adapters.loaded import load_adapter
from workbench.errors import ExportError, UsageError
from workbench.recipe.schema import Recipe
from workbench.store import Run

Make, Train = Callable[..., Recipe], Callable[..., Run]

NAMES = ("adapter_model.bin", "optimizer.bin", "random_states_0.pkl", "training_args.bin")


def test_the_payloads_work(payload: bytes, torch_payload: bytes, tmp_path: Path) -> None:
    """Without this control every other test here could pass for the wrong reason."""
    for content in (payload, torch_payload):
        (tmp_path / "evil").write_bytes(content)
        program = (
            "import sys, zipfile, pickle\npath = sys.argv[1]\n"
            "zipped = zipfile.is_zipfile(path)\n"
            "data = zipfile.ZipFile(path).read('archive/data.pkl') if zipped "
            "else open(path, 'rb').read()\npickle.loads(data)"
        )
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "evil")], check=True)
        assert (tmp_path / "CANARY").exists()
        (tmp_path / "CANARY").unlink()


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_with_a_pickle_is_not_imported(
    name: str, torch_payload: bytes, canary: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "task_type": "SEQ_CLS"}')
    (folder / name).write_bytes(torch_payload)
    with pytest.raises(UsageError, match="is a pickle") as caught:
        import_adapter(folder, tmp_path / "mine", base=str(tiny_bert), confirm=lambda _: True)
    assert name in str(caught.value) and "ask for adapter_model.safetensors" in str(caught.value)
    assert not (tmp_path / "mine").exists()


def test_an_adapter_folder_is_asked_for_safetensors_alone(
    make_recipe: Make,
    trained_runs: TrainedRuns,
    torch_payload: bytes,
    canary: Path,
    tmp_path: Path,
) -> None:
    """PEFT takes adapter_model.bin where there is no adapter_model.safetensors."""
    run = trained_runs.copy(make_recipe(training={"max_steps": 1}), tmp_path)
    for name in NAMES:
        (run.adapter / name).write_bytes(torch_payload)
    load_adapter(run.path).predict(["the team"])
    weights = run.adapter / "adapter_model.safetensors"
    weights.rename(run.adapter / "other.safetensors")
    with pytest.raises(ExportError, match="there is no adapter_model.safetensors"):
        load_adapter(run.path)


def test_a_model_with_a_pickle_of_weights_is_refused(
    model_folder: Callable[..., Path],
    torch_payload: bytes,
    canary: Path,
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
) -> None:
    folder = model_folder()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(torch_payload)
    for name in NAMES:
        (folder / name).write_bytes(torch_payload)
    run = train(make_recipe(model={"source": str(folder)}), seed=0, runs_dir=tmp_path / "runs")
    assert run.state == "failed" and "model.safetensors" in run.reason
    assert "Traceback" not in run.reason


def test_the_payload_in_a_model_would_have_been_read_by_an_older_loader(
    model_folder: Callable[..., Path], torch_payload: bytes, canary: Path
) -> None:
    """The second lock: transformers itself reads a pickle of weights as plain tensors only."""
    folder = model_folder()
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(torch_payload)
    with pytest.raises(Exception, match="(?i)weights.only|pickle|unsupported"):
        BertForPreTraining.from_pretrained(folder, use_safetensors=False)


def test_resuming_reads_no_pickle(
    make_recipe: Make, train: Train, payload: bytes, torch_payload: bytes, canary: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    class Killed(BaseException):
        """Ends the training between two steps, with nothing saved."""

    def kill(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] == 10:
            raise Killed

    recipe = make_recipe("lora", training={"epochs": 3})
    with pytest.raises(Killed):
        train(recipe, 0, tmp_path / "runs", observer=kill)
    (run,) = (tmp_path / "runs" / "tiny").glob("[a-z]*")
    folders = [run, *(path for path in (run / "checkpoints").rglob("*") if path.is_dir())]
    assert len(folders) > 1, "no checkpoint to spoil"
    for folder in folders:
        for name in NAMES:
            (folder / name).write_bytes(torch_payload)
        (folder / "random_states_0.pkl").write_bytes(payload)
    resumed = train(recipe, 0, tmp_path / "runs", resume=True)
    assert resumed.state == "finished", resumed.reason
