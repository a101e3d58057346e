"""The worker answers, waits in line, dies with its server, and its end is told in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbench.adapters.loaded import load_adapter
from workbench.jobs import child_environment
from workbench.services.playground import Playground, PlaygroundError

TEXT = "goal match the team"
HOSTILE = "<script>alert(1)</script> \udcff \x00 ![x](http://x) 🙂"


def question(folder: Path, text: str = TEXT, **more: Any) -> dict[str, Any]:
    return {"do": "answer", "folder": str(folder), "text": text, "pair": None, **more}


def wait_for(condition: Any, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


# --- answers --------------------------------------------------------------------------------


def test_it_answers_as_the_library_does(playground: Playground, runs_of: Any) -> None:
    folder = runs_of["text-classification"]
    found = playground.ask(question(folder))
    (expected,) = load_adapter(folder).predict([TEXT])
    assert found["prediction"] == expected["prediction"]
    assert found["score"] == pytest.approx(expected["score"], abs=1e-6)
    assert found["seconds"] > 0
    assert playground.memory["adapters"] >= 1
    assert 0 < playground.memory["weights_bytes"] < playground.memory["process_bytes"]
    assert playground.ask(question(folder))["loading_seconds"] < 0.05


def test_writing_arrives_piece_by_piece(playground: Playground, runs_of: Any) -> None:
    events = list(playground.stream(question(runs_of["instruction"])))
    pieces = [event["piece"] for event in events if "piece" in event]
    assert len(pieces) > 1
    assert "".join(pieces).strip() == events[-1]["result"]["prediction"]


def test_the_untouched_base_answers_or_says_why_not(playground: Playground, runs_of: Any) -> None:
    written = playground.ask(question(runs_of["instruction"], zero_shot=True))
    assert written["kind"] == "text"
    silent = playground.ask(question(runs_of["text-classification"], zero_shot=True))
    assert "at random" in silent["silent"]


def test_it_explains(playground: Playground, runs_of: Any) -> None:
    asked = {"folder": str(runs_of["text-classification"]), "text": TEXT, "pair": None}
    words = playground.ask({**asked, "do": "attribution", "choice": None})
    assert [t["text"] for t in words["tokens"]] == ["[CLS]", *TEXT.split(), "[SEP]"]
    looks = playground.ask({**asked, "do": "attention", "choice": 1, "layer": -1, "head": None})
    labels = load_adapter(asked["folder"]).task.label_names
    assert (looks["layer"], looks["about"]) == (1, labels[1])


def test_text_of_any_kind_is_only_text(playground: Playground, runs_of: Any) -> None:
    assert playground.ask(question(runs_of["text-classification"], HOSTILE))["kind"] == "labels"


# --- refusals -------------------------------------------------------------------------------


def test_a_refusal_comes_in_words_and_the_worker_goes_on(
    playground: Playground, runs_of: Any, tmp_path: Path
) -> None:
    pid = playground.pid
    with pytest.raises(PlaygroundError, match="not an export") as refusal:
        playground.ask(question(tmp_path))
    assert refusal.value.fix and str(tmp_path) in str(refusal.value)
    with pytest.raises(PlaygroundError, match="50,000 characters"):
        playground.ask(question(runs_of["text-classification"], "a" * 50_001))
    with pytest.raises(PlaygroundError, match="no such request"):
        playground.ask({"do": "harm"})
    assert playground.ask(question(runs_of["text-classification"]))["kind"] == "labels"
    assert playground.pid == pid or pid is None


def test_questions_at_once_wait_in_line(playground: Playground, runs_of: Any) -> None:
    answers: dict[str, str] = {}

    def ask(task: str, number: int) -> None:
        answers[f"{task}{number}"] = playground.ask(question(runs_of[task]))["kind"]

    tasks = ("text-classification", "instruction")
    threads = [threading.Thread(target=ask, args=(t, n)) for t in tasks for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(answers.values()) == ["labels"] * 3 + ["text"] * 3
    assert playground.waiting == 0


def test_who_goes_away_is_not_answered(playground: Playground, runs_of: Any) -> None:
    events = playground.stream(question(runs_of["instruction"]))
    next(events)
    events.close()  # as Streamlit does with a script whose page was changed
    assert playground.ask(question(runs_of["text-classification"]))["kind"] == "labels"
    assert playground.waiting == 0


# --- its end --------------------------------------------------------------------------------


def test_a_crash_is_told_and_the_next_question_starts_another_until_it_is_unloaded() -> None:
    playground = Playground()
    playground.ask({"do": "memory"})
    pid = playground.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # so that it cannot answer before it is killed
    failed: list[PlaygroundError] = []

    def ask() -> None:
        try:
            playground.ask({"do": "memory"})
        except PlaygroundError as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: playground.waiting)
    os.kill(pid, signal.SIGKILL)
    thread.join(20)
    assert (
        "SIGKILL" in str(failed[0]) and "memory" in failed[0].why and "ask again" in str(failed[0])
    )
    playground.ask({"do": "memory"})
    another = playground.pid
    assert another not in (None, pid)
    playground.unload()
    assert playground.pid is None and playground.memory == {} and not psutil.pid_exists(another)


def test_too_long_is_said_and_ends_it() -> None:
    playground = Playground(patience_seconds=0.05)  # it starts in more than that
    with pytest.raises(PlaygroundError, match="no answer within 0 s"):
        playground.ask({"do": "memory"})
    playground.unload()


def test_it_ends_by_itself_when_nobody_asks() -> None:
    playground = Playground(idle_seconds=0.2)
    playground.ask({"do": "memory"})
    wait_for(lambda: playground.pid is None)
    assert playground.ask({"do": "memory"}) == {}
    playground.unload()


def test_it_dies_with_its_server_which_loads_no_torch() -> None:
    source = (
        "from workbench.services.playground import Playground\n"
        "p = Playground()\np.ask({'do': 'memory'})\n"
        "import sys, time; heavy = {'torch', 'transformers'} & {*sys.modules}\n"
        "print(p.pid, *heavy, flush=True)\ntime.sleep(60)\n"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", source], stdout=subprocess.PIPE, env=child_environment()
    )
    assert server.stdout is not None
    pid, *heavy = server.stdout.readline().split()
    assert not heavy
    worker = int(pid)
    assert psutil.pid_exists(worker)
    server.kill()
    server.wait()
    server.stdout.close()
    wait_for(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == "zombie")


def test_a_process_that_ends_at_once_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    with pytest.raises(PlaygroundError, match="ended 10 times"):
        Playground().ask({"do": "memory"})
