"""Whatever a config asks for, an adapter is taken or refused within seconds."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.foreign.importing import Pack, refusal, taken
from tests.store.record_mutations import mutate
from workbench.errors import WorkbenchError

ENDLESS = "(([a-z._0-9])+)+!"


@pytest.fixture(scope="module", autouse=True)
def _libraries_loaded() -> None:
    """What is timed below is the adapter's, not the imports."""
    import workbench.adapters.foreign.fit  # noqa: F401


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"target_modules": ENDLESS}, "takes too much time"),
        ({"exclude_modules": ENDLESS}, "takes too much time"),
        ({"rank_pattern": {ENDLESS: 4}}, "takes too much time"),
        ({"alpha_pattern": {ENDLESS: 8}}, "takes too much time"),
        ({"layers_pattern": ENDLESS, "layers_to_transform": [0]}, "takes too much time"),
        ({"layers_pattern": [ENDLESS], "layers_to_transform": [0]}, "takes too much time"),
        ({"modules_to_save": ["classifier", ENDLESS]}, "takes too much time"),
        ({"rank_pattern": {f"name{i}.*.*x": 4 for i in range(20_000)}}, "too much time"),
        ({"target_modules": "(query"}, "not a pattern"),
        ({"target_modules": "(" * 1_999}, "not a pattern"),
        ({"target_modules": "q{99999999999}"}, "not a pattern"),
        ({"rank_pattern": {"[": 4}}, "not a pattern"),
        ({"rank_pattern": ["query"]}, "a rank by name"),
        ({"rank_pattern": {"query": 5_000_000}}, "from 1 to 8,192"),
        ({"r": 3_000_000}, "from 1 to 8,192"),
        ({"layer_replication": [[0, 2]] * 5_000}, "layers at most"),
        ({"layer_replication": [[0, 500]]}, "layers at most"),
        ({"layer_replication": [[0, 10**9]]}, "pairs of layers"),
        ({"layer_replication": [[0]]}, "pairs of layers"),
        ({"layer_replication": "all"}, "pairs of layers"),
    ],
)  # fmt: skip
def test_what_would_never_end_is_refused_by_its_key(
    values: dict[str, Any], word: str, configured: Pack, tiny_bert: Path
) -> None:
    source, begun = configured(**values), time.monotonic()
    message = refusal(source, tiny_bert)
    key = next(iter(values))
    assert f"adapter_config.json: {key}" in message and word in message, message
    assert time.monotonic() - begun < 15


def test_a_pattern_that_ends_is_taken(configured: Pack, tiny_bert: Path, tmp_path: Path) -> None:
    source = configured(target_modules=r".*\.(query|value)", rank_pattern={r"layer\.0\.x": 2})
    assert taken(source, tmp_path / "mine", tiny_bert).is_dir()


def _import_many(seeds: range, adapter: Path, base: Path, folder: Path) -> Counter[str]:
    """How many were taken and refused; nothing else may come of one.

    The config, which decides most, is mutated as often as all the other files together.
    """
    came: Counter[str] = Counter()
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (adapter / name).write_bytes((base / name).read_bytes())
    names = sorted(path.name for path in adapter.iterdir())
    for seed in seeds:
        chance, source = random.Random(seed), folder / "source"
        shutil.copytree(adapter, source)
        name = chance.choice([*names, *["adapter_config.json"] * len(names)])
        done, begun = mutate(source / name, chance), time.monotonic()
        try:
            taken(source, folder / "taken" / "it", base)
            came["taken"] += 1
        except WorkbenchError:
            came["refused"] += 1
        except Exception as error:
            raise AssertionError(f"seed {seed}, {done[:300]}") from error
        assert time.monotonic() - begun < 15, (seed, done)
        shutil.rmtree(source)
        shutil.rmtree(folder / "taken")
    return came


@pytest.mark.filterwarnings("ignore")
def test_60_mutated_adapters_are_taken_or_refused(
    adapter: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    came = _import_many(range(60), adapter, tiny_bert, tmp_path / "many")
    assert came.total() == 60 and min(came["taken"], came["refused"]) > 0, came


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")
def test_500_mutated_adapters_are_taken_or_refused(
    adapter: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    came = _import_many(range(60, 560), adapter, tiny_bert, tmp_path / "many")
    assert came.total() == 500 and min(came["taken"], came["refused"]) > 0, came
