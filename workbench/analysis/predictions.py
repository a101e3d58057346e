"""The predictions of the runs on the test split, read once and kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.comparison.configuration import Settings, read_settings
from workbench.comparison.items import PREDICTIONS, shared
from workbench.comparison.rows import Sample
from workbench.recipe.catalogue import AnswerKind
from workbench.recipe.tasks import TASK_SPECS
from workbench.store import Run, open_regular, stat_key

_COLUMNS = ("id", "text", "text_pair", "label", "prediction", "score")
_REQUIRED = frozenset({"id", "text", "label", "prediction"})
_KEPT_FILES = 2048
"""Files whose predictions stay in memory: 20 kB for 120 classes, the texts of a study once."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """One entry for each test example, in the order of the file."""

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    scores: tuple[float | None, ...]


def read_predictions(run: Run) -> Predictions | None:
    path = run.path / PREDICTIONS
    version = stat_key(path)
    return _read(path, version) if version else None


@lru_cache(maxsize=_KEPT_FILES)
def _read(path: Path, version: tuple[int, ...]) -> Predictions | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(path) as opened, pq.ParquetFile(opened) as file:
            names = set(file.schema_arrow.names)
            if not names >= _REQUIRED:
                return None
            table = file.read(columns=[name for name in _COLUMNS if name in names])
    except (OSError, pa.ArrowException):
        return None
    columns: dict[str, list[Any]] = table.to_pydict()
    texts = {
        name: tuple("" if value is None else str(value) for value in values)
        for name, values in columns.items()
    }
    scores = columns.get("score") or [None] * table.num_rows
    return Predictions(
        ids=shared(texts["id"]),
        texts=shared(texts["text"]),
        pairs=shared(texts["text_pair"]) if "text_pair" in texts else None,
        labels=shared(texts["label"]),
        predictions=texts["prediction"],
        scores=tuple(value if isinstance(value, float) else None for value in scores),
    )


def kind_of(sample: Sample) -> AnswerKind | None:
    """What the models of a row answer with; None for a task that this workbench does not know."""
    return _kind(str(sample.first.task), sample.settings)


def kind_of_run(run: Run) -> AnswerKind | None:
    """The same of one run."""
    settings = read_settings(run)
    return _kind(str(settings.get("task.name")), settings)


def _kind(task: str, settings: Settings) -> AnswerKind | None:
    spec = TASK_SPECS.get(task)
    if spec is None:
        return None
    problem = settings.get("task.problem_type")
    known = {} if problem is None else {"problem_type": problem}
    kind: AnswerKind = spec.model_construct(**known).kind
    return kind


def aligned_predictions(samples: Sequence[Sample]) -> dict[str, list[Predictions]]:
    """The predictions of each seed by row label; runs tested on other examples are left out."""
    found: dict[str, list[Predictions]] = {}
    asked: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    for sample in samples:
        for run in sample.runs:
            answers = read_predictions(run)
            if answers is None or not answers.ids:
                continue
            asked = asked or (answers.ids, answers.labels)
            if (answers.ids, answers.labels) == asked:
                found.setdefault(sample.label, []).append(answers)
    return found
