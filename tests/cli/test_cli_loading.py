"""Libraries that are imported the quick way are the same libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import contextlib, json, sys
from workbench.cli.loading import loading_libraries
with loading_libraries() if sys.argv[1] == "quick" else contextlib.nullcontext():
    import transformers
    import transformers.models
    from transformers.loss import loss_utils
early = "scipy" in sys.modules
import scipy.optimize
print(json.dumps({
    "names": sorted(dir(transformers)),
    "models": sorted(dir(transformers.models)),
    "model": transformers.models.bert.BertModel.__name__,
    "losses": sorted(loss_utils.LOSS_MAPPING),
    "available": transformers.utils.is_scipy_available(),
    "finders": len(sys.meta_path),
    "scipy": early,
}))
"""


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path))

    def call(way: str) -> dict[str, Any]:
        command = [sys.executable, "-c", SCRIPT, way]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    return call


def test_the_quick_way_leads_to_the_same_libraries(imported: Any, tmp_path: Path) -> None:
    plain = imported("plain")
    assert plain.pop("scipy") and len(plain["names"]) > 1000
    first = imported("quick")
    assert not first.pop("scipy")
    assert first == plain
    (kept,) = (tmp_path / "imports").iterdir()
    when = kept.stat().st_mtime_ns
    second = imported("quick")
    assert not second.pop("scipy") and second == plain
    assert kept.stat().st_mtime_ns == when, "read, not made again"
    kept.write_bytes(kept.read_bytes()[:-9])
    damaged = imported("quick")
    assert not damaged.pop("scipy") and damaged == plain
    assert kept.stat().st_mtime_ns != when


def test_a_cache_that_cannot_be_written_costs_time_only(imported: Any, tmp_path: Path) -> None:
    (tmp_path / "imports").write_text("in the way")
    assert imported("quick")["model"] == "BertModel"
