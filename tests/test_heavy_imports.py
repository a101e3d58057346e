"""Libraries that are imported the quick way are the same libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from workbench.heavy_imports import _exports

SCRIPT = """
import contextlib, json, sys
from workbench.heavy_imports import loading_libraries
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


@pytest.mark.slow
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


def test_exports_are_looked_up_again_where_they_cannot_be_read_or_the_models_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "transformers", ModuleType("transformers"))
    models = tmp_path / "models"
    models.mkdir()
    (models / "__init__.py").touch()
    found = {"bert": {frozenset({"torch"}): {"modeling_bert": {"BertModel"}}}}
    looked: list[Path] = []

    def look(path: Path) -> Any:
        looked.append(path)
        return found

    for path in (models, models / "__init__.py", str(models)):
        assert _exports(look, path) == found
    assert looked == [models], "the other two were kept"
    (kept,) = (tmp_path / "cache" / "imports").iterdir()
    for damaged in (b"", kept.read_bytes()[:-9], b'{"exports": [["bert", {}]]}'):
        kept.write_bytes(damaged)
        assert _exports(look, models) == _exports(look, models) == found
    assert len(looked) == 4
    (models / "modernbert").mkdir()
    assert _exports(look, models) == found and len(looked) == 5
    assert _exports(look, models / "modernbert") == found, "smaller packages are not kept"
    assert len(looked) == 6
    monkeypatch.setenv("WORKBENCH_CACHE", str(models / "__init__.py"))
    assert _exports(look, models) == found and len(looked) == 7, "a cache that cannot be written"
