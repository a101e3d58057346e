"""A metric of the Hub: what allowing it fetches, and that only this runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metric_hub import COMMIT, DISTANCE, METRIC, MetricHub, go_offline, metric_hub
from workbench.errors import StorageError, UsageError
from workbench.metrics.hub_metric import allow
from workbench.metrics.scores import REGRESSION, SINGLE, score
from workbench.store.allowed_metrics import allowed_file, read_allowed

WANTED = f"miss@{COMMIT}"


@pytest.fixture(autouse=True)
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MetricHub]:
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    with metric_hub(monkeypatch) as found:
        yield found


def test_what_is_not_allowed_is_refused_and_not_fetched(hub: MetricHub) -> None:
    with pytest.raises(UsageError, match="hub:miss is a program of the Hub") as caught:
        score(["hub:miss"], SINGLE, [0], [0])
    assert "task.metrics" in str(caught.value)
    assert "--allow-metric-code miss@COMMIT" in str(caught.value)
    assert hub.asked == []


def test_what_is_allowed_gives_the_score(hub: MetricHub) -> None:
    allow(WANTED)
    assert score(["hub:miss"], REGRESSION, [1, 5], [2, 2]) == {"hub:miss": 2.0}
    assert score(["hub:miss:lower"], REGRESSION, [1], [2]) == {"hub:miss:lower": 1.0}


def test_address_size_and_hash_of_each_file_are_shown(hub: MetricHub) -> None:
    root = f"{hub.address}/spaces/evaluate-metric/miss/resolve/{COMMIT}"
    assert allow(WANTED) == [
        f"metric miss runs {root}/{name} ({len(text):,} bytes, "
        f"sha256 {hashlib.sha256(text.encode()).hexdigest()})"
        for name, text in (("miss.py", METRIC), ("distance.py", DISTANCE))
    ]


def test_a_metric_of_a_user_is_its_own_repository(hub: MetricHub) -> None:
    hub.add("far.py", METRIC.replace("from .distance import distance\n", DISTANCE), "someone/far")
    allow(f"hub:someone/far@{COMMIT}")
    assert score(["hub:someone/far"], SINGLE, [3], [0]) == {"hub:someone/far": 3.0}


def test_allowing_runs_nothing(hub: MetricHub, tmp_path: Path) -> None:
    hub.add("miss.py", f"open({str(tmp_path / 'ran')!r}, 'w')\n{METRIC}")
    allow(WANTED)
    assert not (tmp_path / "ran").exists()


def test_what_was_allowed_runs_without_the_hub(
    hub: MetricHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    allow(WANTED)
    hub.asked.clear()
    go_offline(monkeypatch)
    assert score(["hub:miss"], SINGLE, [4], [0]) == {"hub:miss": 4.0}
    assert allow(WANTED) and hub.asked == []


@pytest.mark.parametrize("file", ["miss.py", "distance.py"])
def test_changed_bytes_are_refused_until_they_are_fetched_again(file: str, tmp_path: Path) -> None:
    allow(WANTED)
    path = next(tmp_path.glob(f"cache/metric-code/evaluate-metric--miss/{COMMIT}/{file}"))
    path.write_text(path.read_text() + "# one more line\n")
    with pytest.raises(UsageError, match="hub:miss has changed since it was allowed"):
        score(["hub:miss"], SINGLE, [0], [0])
    allow(WANTED)
    assert score(["hub:miss"], SINGLE, [0], [0]) == {"hub:miss": 0.0}


def test_a_commit_that_has_changed_on_the_hub_is_refused(hub: MetricHub, tmp_path: Path) -> None:
    allow(WANTED)
    before = read_allowed()
    next(tmp_path.glob("cache/metric-code/*/*/miss.py")).unlink()
    hub.add("miss.py", METRIC + "# another\n")
    with pytest.raises(UsageError, match="not the one that was allowed at this commit") as caught:
        allow(WANTED)
    assert read_allowed() == before and str(allowed_file()) in str(caught.value)


@pytest.mark.parametrize(
    "text", ["miss", "miss@main", "miss@v0.4.6", f"miss@{COMMIT[:12]}", f"../miss@{COMMIT}", "@"]
)
def test_only_a_name_at_a_full_commit_can_be_allowed(text: str, hub: MetricHub) -> None:
    with pytest.raises(UsageError, match="not NAME@REVISION"):
        allow(text)
    assert hub.asked == []


def test_a_metric_that_is_not_there_says_what_the_hub_said(hub: MetricHub) -> None:
    with pytest.raises(UsageError, match="cannot fetch the metric nothing from the Hub") as caught:
        allow(f"nothing@{COMMIT}")
    assert "404" in str(caught.value) and read_allowed() == {}


def test_an_import_of_a_whole_archive_is_refused(hub: MetricHub) -> None:
    hub.add("miss.py", "from .nmt import x  # From: https://github.com/tensorflow/nmt\n")
    with pytest.raises(UsageError, match="its import of nmt .* is not a single file"):
        allow(WANTED)


def test_what_it_does_not_find_or_raises_is_said(hub: MetricHub) -> None:
    hub.add("miss.py", "import not_installed_anywhere\n")
    allow(WANTED)
    with pytest.raises(UsageError, match="cannot load the metric 'hub:miss'") as caught:
        score(["hub:miss"], SINGLE, [0], [0])
    assert "No module named 'not_installed_anywhere'" in str(caught.value)


BROKEN = {"address": "", "bytes": "many", "sha256": ""}


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"miss": 1}', '{"miss": {"scripts": {"a": 1}}}']
    + [
        json.dumps({"miss": {"repository": "a/b", "revision": "c", "scripts": scripts}})
        for scripts in ({}, {"b.py": BROKEN})
    ],
)
def test_a_damaged_record_allows_nothing(content: str) -> None:
    allow(WANTED)
    allowed_file().write_text(content)
    assert read_allowed() == {}


def test_a_folder_that_cannot_be_made_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path / "file"))
    with pytest.raises(StorageError, match="cannot be remembered") as caught:
        allow(WANTED)
    assert "WORKBENCH_CONFIG" in str(caught.value)
