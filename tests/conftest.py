"""What tests share: tiny models and data, runs trained on them, and one checking process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.trained_runs import SharedFolder, TrainedRuns, folder_of_all_workers
from workbench.recipe.schema import Recipe
from workbench.store import Run

# The models here are too small to share out; threads that wait for each other only cost time.
os.environ["OMP_NUM_THREADS"] = "1"
# The libraries read it when they are imported, which is before any fixture.
os.environ["HF_HUB_OFFLINE"] = "1"

# What a test asks for says whether it trains.
TRAINING = {"train", "plain_loader", "trained_runs"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that trains is an integration test."""
    for item in items:
        if TRAINING.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("integration")


_imported = [0]


def pytest_runtest_teardown() -> None:
    """What was imported stays: a full collection, of which a run asks three, need not look at it.

    With a million objects of torch and transformers each takes 0.25 s, half of a tiny run.
    """
    if len(sys.modules) > _imported[0]:
        _imported[0] = len(sys.modules)
        gc.freeze()


@pytest.fixture(autouse=True)
def _private_cache(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests write into a cache of their own and reach no Hub; the real assets are in the user's."""
    if request.node.get_closest_marker("assets") is None:
        folder = request.getfixturevalue("tmp_path_factory").getbasetemp() / "cache"
        monkeypatch.setenv("WORKBENCH_CACHE", str(folder))
        monkeypatch.setenv("WORKBENCH_CONFIG", str(folder.with_name("config")))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(autouse=True)
def _one_checking_process(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of this process are checked by one process: the imports of one take 4 s."""
    users = [
        sys.modules.get(name) for name in ("workbench.adapters.export", "workbench.pipeline.runner")
    ]
    if any(users):
        plain_loader, own = request.getfixturevalue("plain_loader"), os.getpid()

        def loader() -> Any:
            # A child that a test kills would leave half of an answer in the pipe.
            return nullcontext(plain_loader) if os.getpid() == own else type(plain_loader)()

        for module in filter(None, users):
            monkeypatch.setattr(module, "PlainLoader", loader, raising=False)


@pytest.fixture(autouse=True)
def no_forecast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs forecast nothing and take no steps to warm up, which costs as much as a tiny training.

    A folder or a file of tests that need forecasts has a fixture of this name that does nothing.
    """
    if setup := sys.modules.get("workbench.pipeline.setup"):
        monkeypatch.setattr(setup, "forecast", lambda *_, **__: {})
        monkeypatch.setattr(setup, "warm_up", lambda *_, **__: False)


@pytest.fixture(autouse=True)
def no_retention(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs do not read the general text, which takes as long as a tiny training.

    A file of tests that need its figures has a fixture of this name that does nothing.
    """
    if pipeline := sys.modules.get("workbench.pipeline.pipeline"):
        monkeypatch.setattr(
            pipeline, "measure_retention", lambda *_: {"measure": None, "why": "left out of tests"}
        )


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> SharedFolder:
    """What the workers share; nothing in it may be changed."""
    return SharedFolder(folder_of_all_workers(tmp_path_factory.getbasetemp()))


@pytest.fixture(scope="session")
def trained_runs(shared: SharedFolder, plain_loader: Any) -> TrainedRuns:
    """Finished tiny runs: to read, or as copies to change."""
    return TrainedRuns(shared, plain_loader)


@pytest.fixture(scope="session")
def tiny_bert(shared: SharedFolder) -> Path:
    """Folder of a 2-layer BERT with random weights and a 36-word vocabulary."""
    return shared.model("bert")


@pytest.fixture(scope="session")
def tiny_gpt2(shared: SharedFolder) -> Path:
    """Folder of a 2-layer GPT-2 (learned positions, tied head) with random weights."""
    return shared.model("gpt2")


@pytest.fixture(scope="session")
def tiny_llama(shared: SharedFolder) -> Path:
    """Folder of a 2-layer Llama (rotary positions, shared key heads) with random weights."""
    return shared.model("llama")


@pytest.fixture(scope="session")
def tiny_distilbert(shared: SharedFolder) -> Path:
    """Folder of a 2-layer DistilBERT, whose head has a part that PEFT does not know."""
    return shared.model("distilbert")


@pytest.fixture(scope="session")
def topics_file(shared: SharedFolder) -> Path:
    """A jsonl file of 96 short texts with one of three topics each."""
    return shared.topics()


@pytest.fixture
def make_recipe(tiny_bert: Path, topics_file: Path) -> Callable[..., Recipe]:
    """Builds a recipe on the tiny model; sections are merged into the defaults."""

    def build(method: dict[str, Any] | str = "lora", **sections: Any) -> Recipe:
        values: dict[str, Any] = {
            "study": "tiny",
            "name": method if isinstance(method, str) else method["name"],
            "task": {"name": "text-classification"},
            "model": {"source": str(tiny_bert), "max_length": 16},
            "data": {"source": str(topics_file), "validation_size": 16, "test_size": 24},
            "method": {"name": method} if isinstance(method, str) else method,
            "training": {"epochs": 2, "batch_size": 8, "precision": "fp32"},
        }
        for name, section in sections.items():
            values[name] = {**values[name], **section} if isinstance(section, dict) else section
        return Recipe.model_validate(values)

    return build


@pytest.fixture
def train(plain_loader: Any) -> Callable[..., Run]:
    """``run_recipe`` that shares one checking process between the tests."""
    from workbench.pipeline.runner import run_recipe

    return partial(run_recipe, loader=plain_loader)


@pytest.fixture(scope="session")
def plain_loader() -> Iterator[Any]:
    """One process for the whole session that loads exports with plain transformers + PEFT."""
    from workbench.adapters.plain_load import PlainLoader

    class FromAnywhere(PlainLoader):
        """Is asked from other folders than the one that it was started in."""

        def ask(self, request: dict[str, Any]) -> dict[str, Any]:
            paths = {n: request[n] for n in ("folder", "base") if os.path.exists(request[n])}
            return super().ask(request | {n: os.path.abspath(p) for n, p in paths.items()})

    with FromAnywhere() as loader:
        yield loader
