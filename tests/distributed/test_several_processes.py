"""Several processes and machines give what one gives; what they cannot do they say."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.shared_runs import environment, run_quietly
from tests.two_processes import together
from tests.watched_runs import watch_two
from workbench.cli.distributed import configs_dir
from workbench.data.batches import epoch_order, own_share
from workbench.distributed.launcher import check_launch
from workbench.errors import UsageError
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe, TrainingSpec
from workbench.store import Run, list_runs

Make = Callable[..., Recipe]
Train = Callable[..., Run]
ROOT = Path(__file__).parents[2]
CONFIGS = sorted(configs_dir().glob("accelerate/*.yaml"))
TWO_MACHINES = configs_dir() / "accelerate" / "two-machines.yaml"
ACCELERATE = [sys.executable, "-m", "accelerate.commands.launch", "--config_file"]


def test_shared_out_every_example_comes_once() -> None:
    import numpy as np

    lengths = np.arange(50) % 11 + 3
    for processes in (1, 2, 3, 5):
        order = epoch_order(lengths, 7, seed=1, epoch=2)
        shares = [own_share(batch, p, processes) for batch in order for p in range(processes)]
        assert sorted(i for share in shares for i in share) == list(range(50))


def test_what_several_processes_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_launch(TrainingSpec(batch_size=4), 4)
    with pytest.raises(UsageError, match="a batch of 4 cannot be shared by 5 processes") as caught:
        check_launch(TrainingSpec(batch_size=4), 5)
    assert "at most 4 processes" in str(caught.value)
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    with pytest.raises(UsageError, match="Megatron-LM is not supported") as caught:
        check_launch(TrainingSpec(), 1)
    assert "ddp.yaml" in str(caught.value) and "fsdp2.yaml" in str(caught.value)


def test_a_refused_launch_fails_before_anything_is_loaded(
    make_recipe: Make, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_MEGATRON_LM", "true")
    run = train(make_recipe("head", model={"source": "no/such-model"}), 0, tmp_path)
    assert run.state == "failed" and "Megatron-LM is not supported" in run.reason


def test_a_configuration_that_starts_one_process_for_several_is_refused(
    make_recipe: Make, tmp_path: Path
) -> None:
    """`accelerate config` writes MULTI_CPU, for which its launcher (1.15) starts one process."""
    config, recipe = tmp_path / "cpu.yaml", tmp_path / "lora.yaml"
    config.write_text("distributed_type: MULTI_CPU\nnum_processes: 2\nuse_cpu: true\n")
    recipe.write_text(dump_recipe(make_recipe("lora")))
    runs = tmp_path / "runs"
    command = [*ACCELERATE, str(config), "-m", "workbench", "run", str(recipe), "--runs", str(runs)]
    done = run_quietly(command)
    assert done.returncode != 0
    (run,) = list_runs(runs)
    assert run.state == "failed" and "one process was started where several were" in run.reason
    assert "--processes N" in run.reason and "MULTI_CPU" in run.reason


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_accelerate_reads_the_shipped_configurations(path: Path) -> None:
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import DistributedType

    config = load_config_from_file(str(path))
    kinds = {"fsdp2": DistributedType.FSDP, "deepspeed-zero2": DistributedType.DEEPSPEED}
    assert config.distributed_type == kinds.get(path.stem, DistributedType.MULTI_GPU)
    assert config.num_processes >= config.num_machines == 1 + (path.stem == "two-machines")
    assert config.mixed_precision == "no", "the recipe decides the precision"


def test_the_command_names_the_shipped_configurations(capsys: pytest.CaptureFixture[str]) -> None:
    from workbench.cli import main

    assert main(["launch-configs"]) == 0
    named = [Path(line) for line in capsys.readouterr().out.splitlines()]
    stems = [path.stem for path in named]
    assert stems == ["ddp", "deepspeed-zero2", "fsdp2", "two-machines"]
    assert all(path.is_file() for path in named)


def test_processes_of_one_machine_are_met_on_its_loopback_only(tmp_path: Path) -> None:
    """torch's store and gloo, which answer whoever connects."""

    def meet() -> None:
        import torch

        from workbench.distributed.accelerator import this_process

        process = this_process()
        total = torch.ones(1)
        torch.distributed.all_reduce(total)
        listening = [c.laddr.ip for c in psutil.Process().net_connections() if c.status == "LISTEN"]
        file = tmp_path / f"{process.process_index}.txt"
        file.write_text(f"{int(total)} {len(listening)} {' '.join(sorted(set(listening)))}")
        torch.distributed.barrier()

    said = tmp_path / "said.txt"
    assert together(meet, said, {}) == [0, 0], said.read_text()
    first, second = ((tmp_path / f"{rank}.txt").read_text().split() for rank in range(2))
    assert first[2:] == second[2:] == ["127.0.0.1"]
    assert int(first[1]) > 1, "the store and gloo"
    assert first[0] == second[0] == "2", "both met"


# --- two processes ------------------------------------------------------------------------------


def losses_of(run: Run) -> list[float]:
    return [row["loss"] for row in run.events()[0] if row["kind"] == "step"]


@pytest.mark.slow
def test_two_processes_see_each_example_once_and_exchange_what_is_trained(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    # 49 examples: the last batch of an epoch is one example, of which one process has none.
    # So has the last batch of the validation.
    data = {"train_size": 49, "test_size": 23, "validation_size": 17}
    training = {"epochs": 3, "learning_rate": 1e-2, "eval_batch_size": 16}
    recipe = make_recipe("lora", data=data, training=training)
    alone = train(recipe, 0, tmp_path / "one")
    assert alone.state == "finished", alone.reason
    both, reports = watch_two(recipe, tmp_path / "two")

    seen = Counter(tuple(row) for each in reports for share in each["shares"] for row in share)
    assert len(seen) == 49 and set(seen.values()) == {3}
    assert [len(each["shares"]) for each in reports] == [21, 21]
    assert both.result["time"]["examples_seen"] == 3 * 49

    assert losses_of(alone) == pytest.approx(losses_of(both), abs=1e-4)
    assert both.result["metrics"]["test"] == pytest.approx(alone.result["metrics"]["test"])
    tables = [pq.read_table(r.path / "predictions.parquet").to_pydict() for r in (alone, both)]
    assert tables[0]["id"] == tables[1]["id"] and len(set(tables[1]["id"])) == 23
    assert tables[0]["prediction"] == tables[1]["prediction"]

    memory = both.result["memory"]
    assert len(memory["per_process"]) == 2 and min(memory["per_process"]) > 0
    assert sum(memory["per_process"]) == memory["peak_memory_bytes"]
    single = alone.result["memory"]
    assert single["per_process"] == [single["peak_memory_bytes"]]
    weights = "weights_bytes"
    assert memory["breakdown"][weights] == 2 * single["breakdown"][weights]
    assert memory["micro_batch_size"] == 4 and single["micro_batch_size"] == 8

    for rank, each in enumerate(reports):
        traffic = each["traffic"]
        assert traffic["sent"], "nothing was exchanged"
        assert sum(traffic["sent"]) == 2 * 32, "two steps of two trained 4 x 4 matrices"
        assert traffic["right"] and traffic["frozen"]
        assert traffic["buffer"] == rank, "buffers stay where they are"


@pytest.mark.slow
def test_one_process_out_of_memory_makes_all_of_them_smaller(
    make_recipe: Make, train: Train, tmp_path: Path
) -> None:
    training = {"max_steps": 5, "learning_rate": 1e-2, "auto_micro_batch": True}
    both, reports = watch_two(make_recipe("lora", training=training), tmp_path / "two", fits=2)
    assert [each["tried"][:3] for each in reports] == [[4, 2, 2], [4, 2, 2]]
    (row,) = [row for row in both.events()[0] if row["kind"] == "micro_batch"]
    assert (row["step"], row["tried"], row["size"]) == (1, 4, 2)
    assert both.result["memory"]["micro_batch_size"] == 2
    assert any("memory ran out" in warning for warning in both.result["warnings"])
    by_hand = {"max_steps": 5, "learning_rate": 1e-2, "micro_batch_size": 2}
    alone = train(make_recipe("lora", training=by_hand), 0, tmp_path / "one")
    assert losses_of(alone) == pytest.approx(losses_of(both), abs=1e-5)


# --- two machines -------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture
def machines() -> Iterator[Callable[..., list[subprocess.Popen[str]]]]:
    """Starts one launcher for each of two machines, which meet on the loopback."""
    started: list[subprocess.Popen[str]] = []

    def start(recipe: Path, runs: Path) -> list[subprocess.Popen[str]]:
        port = str(free_port())
        for rank in ("0", "1"):
            command = [*ACCELERATE, str(TWO_MACHINES), "--machine_rank", rank]
            command += ["--main_process_port", port, "-m", "workbench", "run", str(recipe)]
            with open(runs.parent / f"machine-{rank}.log", "w") as log:
                started.append(
                    subprocess.Popen(
                        [*command, "--runs", str(runs)],
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        cwd=ROOT,
                        env=environment(),
                        start_new_session=True,
                        text=True,
                    )
                )
        return started

    yield start
    for launcher in started:
        for process in family(launcher.pid):
            process.kill()
        launcher.wait()


def family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


@pytest.mark.slow
def test_two_machines_give_what_one_gives(
    make_recipe: Make,
    train: Train,
    tmp_path: Path,
    machines: Callable[..., list[subprocess.Popen[str]]],
) -> None:
    recipe = make_recipe("lora", training={"learning_rate": 1e-2, "epochs": 3})
    file = tmp_path / "lora.yaml"
    file.write_text(dump_recipe(recipe))
    launchers = machines(file, tmp_path / "runs")
    codes = [launcher.wait(timeout=300) for launcher in launchers]
    assert codes == [0, 0], (tmp_path / "machine-0.log").read_text()[-3000:]
    (both,) = list_runs(tmp_path / "runs")
    assert both.state == "finished", both.reason
    assert both.result["policy"]["processes"] == 2
    alone = train(recipe, 0, tmp_path / "one")
    assert losses_of(alone) == pytest.approx(losses_of(both), abs=1e-4)
    assert both.result["metrics"]["test"] == pytest.approx(alone.result["metrics"]["test"])


@pytest.mark.parametrize(
    "killed", [pytest.param(0, marks=pytest.mark.slow), pytest.param(1, marks=pytest.mark.nightly)]
)
def test_a_killed_machine_ends_the_other(
    killed: int,
    make_recipe: Make,
    tmp_path: Path,
    machines: Callable[..., list[subprocess.Popen[str]]],
) -> None:
    recipe = make_recipe("lora", training={"epochs": 5000, "keep": "last"})
    file = tmp_path / "lora.yaml"
    file.write_text(dump_recipe(recipe))
    launchers = machines(file, tmp_path / "runs")
    deadline = time.monotonic() + 200
    while not any(losses_of(run) for run in list_runs(tmp_path / "runs")):
        assert time.monotonic() < deadline and all(each.poll() is None for each in launchers)
        time.sleep(0.5)
    everybody = [p for each in launchers for p in family(each.pid)]
    launchers[killed].send_signal(signal.SIGKILL)
    assert launchers[1 - killed].wait(timeout=30) != 0
    _, alive = psutil.wait_procs(everybody, timeout=10)
    assert not alive
    (run,) = list_runs(tmp_path / "runs")
    assert run.state in ("failed", "interrupted")
