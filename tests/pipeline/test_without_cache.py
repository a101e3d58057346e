"""A cache folder that cannot be made or takes nothing: runs do without, and it is said once."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.killed_runs import Unchecked, exported_difference, the_recipe
from workbench import cli, heavy_imports
from workbench.assets import cache_dir
from workbench.assets.cache import keep, refused
from workbench.pipeline import pipeline, runner
from workbench.recipe import dump_recipe
from workbench.recipe.schema import Recipe
from workbench.store import Run, read_run, run_path


@pytest.fixture(autouse=True)
def _nothing_said_before() -> Iterator[None]:
    refused.clear()
    yield
    refused.clear()


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place of the folder: not even root can make it."""
    place = tmp_path / "a file"
    place.touch()
    monkeypatch.setenv("WORKBENCH_CACHE", str(place / "cache"))
    return place / "cache"


def test_a_run_does_without_and_says_it_once(
    no_cache: Path,
    make_recipe: Callable[..., Recipe],
    train: Callable[..., Run],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe = the_recipe(make_recipe, "lora")
    file = tmp_path / "recipe.yaml"
    file.write_text(dump_recipe(recipe))
    monkeypatch.setattr(pipeline, "check_folder", lambda *_: 0.0)
    monkeypatch.setattr(runner, "PlainLoader", Unchecked)
    assert cli.main(["run", str(file), "--seeds", "0", "--runs", str(tmp_path / "without")]) == 0
    said = capsys.readouterr().err
    assert said.count(f"nothing could be kept in {no_cache}") == 1
    assert "Not a directory" in said and "WORKBENCH_CACHE" in said
    monkeypatch.setenv("WORKBENCH_CACHE", str(tmp_path / "cache"))
    with_cache = train(recipe, 0, tmp_path / "with")
    assert (tmp_path / "cache" / "tokens").is_dir()
    without = read_run(run_path(tmp_path / "without", recipe, 0))
    assert not exported_difference(with_cache, without)
    assert without.result["references"] == with_cache.result["references"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_cache_that_takes_no_file_is_done_without(code: int, tmp_path: Path) -> None:
    def refuse(_: Path) -> None:
        raise OSError(code, os.strerror(code))

    assert not keep(tmp_path / "kept", refuse)
    assert [error.errno for error in refused] == [code]


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("WORKBENCH_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert not cache_dir().exists()


@pytest.mark.parametrize("given", ["writable", "a file/hub"])
def test_libraries_get_a_cache_where_theirs_takes_nothing(
    given: str, no_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / given))
    for name in heavy_imports.CACHES:
        monkeypatch.setenv(name, "")  # put back afterwards
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_DATASETS_CACHE", "the user's own")
    with heavy_imports.loading_libraries():
        folders = [os.environ.get(name) for name in heavy_imports.CACHES]
    assert folders[0] == "the user's own"
    if given == "writable":
        assert folders[1:] == [None, None, None]
    else:
        assert all(folder and Path(folder).parent.is_dir() for folder in folders[1:])
