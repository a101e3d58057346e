"""Runs that learned nothing: one answer to every test text, or no better than a trivial baseline.

Two of them that agree say nothing about two methods, and one of them among good seeds is a result
of its own that no mean shows.
"""

from workbench import formatting
from workbench.comparison.rows import Sample
from workbench.comparison.schema import Collapse, Conclusion, Row, Scores
from workbench.formatting import listing
from workbench.recipe.catalogue import TRIVIAL_BASELINES, higher_is_better
from workbench.recipe.tasks import TASK_SPECS
from workbench.store import Run, open_regular

_RANKED: tuple[Conclusion, ...] = ("better", "worse", "run_better", "run_worse")


def note_collapse(row: Row, sample: Sample, *, read: bool) -> None:
    """Sets ``collapsed`` and ``trivial`` of a row, by its primary metric.

    Args:
        read: whether predictions are read; else the scores alone decide.
    """
    metric, first = row["primary_metric"] or "", sample.first
    tagging = first.task in TASK_SPECS and TASK_SPECS[first.task].words
    row["collapsed"] = []
    for run, record in zip(sample.runs, sample.records, strict=True):
        score = record.metrics.test.get(metric)
        answer = _only_answer(run, tagging=tagging) if read else None
        level = _not_beaten(metric, score, record.references)
        if answer is not None or level is not None:
            row["collapsed"].append(
                {"seed": record.seed, "score": score, "answer": answer, "no_better_than": level}
            )
    mean = row["metrics"][metric]["mean"] if metric in row["metrics"] else None
    level = _not_beaten(metric, mean, first.references)
    if len(row["collapsed"]) == len(sample.runs):
        row["trivial"] = _reason(row["collapsed"])
    elif level:
        row["trivial"] = f"is on average no better than {level}"


def _not_beaten(metric: str, score: float | None, references: dict[str, Scores]) -> str | None:
    """The trivial baseline that a score does not beat, with its own."""
    for name in TRIVIAL_BASELINES:
        known = references.get(name, {}).get(metric)
        if score is None or known is None:
            continue
        if score <= known if higher_is_better(metric) else score >= known:
            return f"{name} ({formatting.score(known)})"
    return None


def _only_answer(run: Run, *, tagging: bool) -> str | None:
    """What a run answers to every test text although the right answers differ; of tags for words,
    the one tag."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_regular(run.path / "predictions.parquet") as opened:
            table = pq.ParquetFile(opened).read(columns=["label", "prediction"])
        right, given = (
            {word for text in table[name].unique().to_pylist() for word in _parts(text, tagging)}
            for name in ("label", "prediction")
        )
    except (OSError, pa.ArrowException, KeyError, ValueError):  # somebody else's file
        return None
    return given.pop() if len(given) == 1 < len(right) else None


def _parts(text: object, tagging: bool) -> list[str]:
    return str(text).split() if tagging else [str(text)]


def _reason(collapsed: list[Collapse]) -> str:
    """Why a row of these runs alone says nothing."""
    answers = {each["answer"] for each in collapsed}
    if None not in answers:
        return f"gives one answer to every test text ({listing(sorted(map(repr, answers)))})"
    level = [each["no_better_than"] for each in collapsed if each["no_better_than"]]
    return f"is no better than {level[0]}"


def remark(row: Row) -> str | None:
    """What is to be said of a row whose runs collapsed, all or some of them."""
    if row["trivial"]:
        return f"{row['label']} {row['trivial']}"
    if not row["collapsed"]:
        return None
    seeds = listing([str(each["seed"]) for each in row["collapsed"]])
    return (
        f"{row['label']}: {len(row['collapsed'])} of {formatting.plural(len(row['runs']), 'seed')} "
        f"collapsed (seed {seeds}: {_reason(row['collapsed'])})"
    )


def judged(conclusion: Conclusion, *rows: Row) -> Conclusion:
    """``trivial`` where a row that learned nothing is not told apart from another."""
    trivial = [row for row in rows if row["trivial"]]
    if len(trivial) == len(rows) or (trivial and conclusion not in _RANKED):
        return "trivial"
    return conclusion
