"""The queue as files: its order, its changes, and how its runs are listed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.stored_recipes import at_once, news_recipe
from workbench.errors import RunRefused
from workbench.store import Entry, Queue, describe_run, find_run, list_runs, open_run, read_run
from workbench.store import queue as queue_module
from workbench.store.run_folder import run_name


def entry(seed: int) -> Entry:
    recipe = news_recipe()
    fields = describe_run(recipe, seed)
    name = run_name(recipe, seed)
    return Entry(study="news", name=name, recipe="", fields=fields, seed=seed)


@pytest.fixture
def queue(tmp_path: Path) -> Queue:
    queue = Queue(tmp_path)
    queue.add([entry(seed) for seed in range(4)])
    return queue


def order(queue: Queue) -> list[int]:
    return [each.seed for each in Queue(queue.root).list()]


def test_what_is_added_comes_last_and_once(queue: Queue) -> None:
    queue.add([entry(4)])
    assert order(queue) == [0, 1, 2, 3, 4]
    with pytest.raises(RunRefused, match="in the queue already"):
        queue.add([entry(5), entry(2)])
    assert order(queue) == [0, 1, 2, 3, 4], "none of them was added"


def test_runs_are_moved_and_cancelled(queue: Queue) -> None:
    entries = queue.list()
    queue.move(entries[2], "first")
    assert order(queue) == [2, 0, 1, 3]
    queue.move(entries[0], "last")
    assert order(queue) == [2, 1, 3, 0]
    queue.move(entries[3], entries[2])
    assert order(queue) == [3, 2, 1, 0]
    queue.move(entries[3], entries[3])
    assert queue.remove(entries[1]) and not queue.remove(entries[1])
    assert order(queue) == [3, 2, 0]
    assert queue.update(entries[1], job="x") is None, "a cancelled run does not come back"
    assert order(queue) == [3, 2, 0]


def test_so_many_moves_that_there_is_no_room_between_two(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        mover, target = queue.list()[3], queue.list()[1]
        queue.move(mover, target)
        expected = [0, *([3, 1, 2], [2, 3, 1], [1, 2, 3])[number % 3]]
        assert order(queue) == expected
    assert all(queue_module._order(f) > 0 for f in queue._files())


def test_runs_are_named_by_number_and_by_what_they_are_called(queue: Queue) -> None:
    assert queue.named("2").seed == 1
    assert queue.named("lora-r4-s3").seed == 3
    assert queue.named(entry(0).id).seed == 0
    for name, what in (("lora", "several runs"), ("absent", "no run"), ("9", "no run")):
        with pytest.raises(RunRefused, match=what):
            queue.named(name)


def test_a_broken_file_is_left_out(queue: Queue) -> None:
    (queue.folder / "entries" / "1@news@half.json").write_text("{")
    (queue.folder / "entries" / "notes.txt").write_text("{")
    edited = replace(entry(8), processes="two", name="edited")  # type: ignore[arg-type]
    queue_module._write(queue.folder / "entries" / "1@news@edited.json", edited)
    renamed = replace(entry(9), study="other")
    queue_module._write(queue.folder / "entries" / "1@news@other.json", renamed)
    assert order(queue) == [0, 1, 2, 3]


def test_many_processes_add_and_none_is_lost(tmp_path: Path) -> None:
    body = """
def BODY(number):
    from tests.store.test_queue import entry
    queue = store.Queue(root)
    for turn in range(5):
        queue.add([entry(number * 100 + turn)])
    try:
        queue.add([entry(99999)])
    except RunRefused:
        return "refused"
    return "added"
"""
    answers = at_once(body, tmp_path, 8)
    assert answers.count("added") == 1 and answers.count("refused") == 7
    seeds = order(Queue(tmp_path))
    assert len(seeds) == 41 and len(set(seeds)) == 41
    for number in range(8):
        own = [seed for seed in seeds if seed // 100 == number]
        assert own == sorted(own), "each process's runs are in its order"


# --- how waiting runs are seen -----------------------------------------------------------------


def test_a_waiting_run_is_listed_as_queued(queue: Queue) -> None:
    runs = list_runs(queue.root)
    assert [run.state for run in runs] == ["queued"] * 4
    assert runs[0].status["method"] == "lora" and runs[0].status["seed"] == 0
    assert runs[0].path == queue.root / "news" / entry(0).name and not runs[0].path.exists()
    assert find_run(entry(1).name, queue.root).state == "queued"
    assert [run.id for run in list_runs(queue.root / "news")] == [run.id for run in runs]
    assert read_run(runs[0].path).state == "queued"


def test_an_older_attempt_does_not_hide_that_a_run_waits(queue: Queue) -> None:
    recipe, first = news_recipe(), queue.list()[0]
    path = queue.path_of(first)
    with pytest.raises(RunRefused, match="is queued"):
        open_run(queue.root, recipe, 0)
    queue.remove(first)
    open_run(queue.root, recipe, 0).close("failed", "an older reason")
    queue.add([first])
    assert read_run(path).state == "queued"
    taken = queue.update(first, job="job-1")
    assert taken is not None
    assert read_run(path).reason == "is being started"
    assert read_run(path, job="job-1").state == "failed", "its own job sees the folder as it is"
    writer = open_run(queue.root, recipe, 0, job="job-1")
    assert read_run(path).state == "queued" and read_run(path).status["pid"]
    writer.close("failed", "a new reason")
    assert read_run(path).reason == "a new reason", "the attempt of the queue has ended"
    queue.remove(first)
    writer = open_run(queue.root, recipe, 0)
    writer.finish({})
    queue.add([first])
    assert read_run(path).state == "finished", "a result is there until there is another"
