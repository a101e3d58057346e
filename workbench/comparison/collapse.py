"""Runs that learned nothing: one answer to every test text, or no better than a trivial baseline.

Two of them that agree say nothing about two methods, and one of them among good seeds is a result
of its own that no mean shows.
"""

from typing import NamedTuple

from workbench import formatting
from workbench.comparison.rows import Sample
from workbench.comparison.schema import Conclusion, Row, Scores
from workbench.formatting import listing
from workbench.recipe.catalogue import METRICS, TRIVIAL_BASELINES, higher_is_better
from workbench.recipe.tasks import TASK_SPECS
from workbench.store import Run, open_regular

HARDLY = 0.1
"""Part of the best seed's gain over a trivial baseline up to which another seed has not learned."""
_RANKED: tuple[Conclusion, ...] = ("better", "worse", "run_better", "run_worse")


def note_collapse(row: Row, sample: Sample, *, read: bool) -> None:
    """Sets ``collapsed`` and ``trivial`` of a row, by its primary metric.

    Args:
        read: whether predictions are read; else the scores alone decide.
    """
    metric, first = row["primary_metric"] or "", sample.first
    tagging = first.task in TASK_SPECS and TASK_SPECS[first.task].words
    # A likelihood is of the right text, and leaves the answers empty where none was generated.
    read = read and not (metric in METRICS and METRICS[metric].from_likelihood)
    gains = [_gain(metric, r.metrics.test.get(metric), r.references) for r in sample.records]
    best = max((gain.size for gain in gains if gain), default=0.0)
    for run, record, gain in zip(sample.runs, sample.records, gains, strict=True):
        answer = _only_answer(run, tagging=tagging) if read else None
        flat = gain is not None and gain.size <= max(HARDLY * best, 0.0)
        if answer is not None or flat:
            row["collapsed"].append(
                {
                    "seed": record.seed,
                    "score": record.metrics.test.get(metric),
                    "answer": answer,
                    "reason": gain.words if gain and answer is None else _answering(answer),
                }
            )
    mean = row["metrics"][metric]["mean"] if metric in row["metrics"] else None
    of_mean = _gain(metric, mean, first.references)
    if len(row["collapsed"]) == len(sample.runs):
        row["trivial"] = " or ".join(_reasons(row))
    elif of_mean and of_mean.size <= 0:
        row["trivial"] = f"on average {of_mean.words}"


class _Gain(NamedTuple):
    """By how much a score is better than a trivial baseline, and that it hardly is."""

    size: float
    words: str


def _gain(metric: str, score: float | None, references: dict[str, Scores]) -> _Gain | None:
    """Over the best of the trivial baselines; None where there is none."""
    found = []
    for name in TRIVIAL_BASELINES:
        known = references.get(name, {}).get(metric)
        if score is not None and known is not None:
            size = score - known if higher_is_better(metric) else known - score
            how = "no" if size <= 0 else "hardly"
            found.append(_Gain(size, f"is {how} better than {name} ({formatting.score(known)})"))
    return min(found, default=None)


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


def _answering(*answers: str | None) -> str:
    one_of = " or ".join(map(repr, answers))
    return f"gives one answer to every test text{f', {one_of}' if answers[1:] else f' ({one_of})'}"


def _reasons(row: Row) -> list[str]:
    """Why its runs collapsed, with all of the single answers in one of the reasons."""
    given = dict.fromkeys(each["answer"] for each in row["collapsed"] if each["answer"] is not None)
    reasons = (
        each["reason"] if each["answer"] is None else _answering(*given)
        for each in row["collapsed"]
    )
    return list(dict.fromkeys(reasons))


def remark(row: Row) -> str | None:
    """What is to be said of a row whose runs collapsed, all or some of them."""
    if row["trivial"]:
        return f"{row['label']} {row['trivial']}"
    if not row["collapsed"]:
        return None
    several, reasons = len(row["collapsed"]) > 1, _reasons(row)
    if several:
        plural = {"is": "are", "gives": "give"}
        reasons = [f"{plural[verb]} {rest}" for verb, rest in (r.split(" ", 1) for r in reasons)]
    seeds = listing([str(each["seed"]) for each in row["collapsed"]])
    return (
        f"{row['label']}: {len(row['collapsed'])} of {formatting.plural(len(row['runs']), 'seed')} "
        f"collapsed (seed{'s' * several} {seeds} {' or '.join(reasons)})"
    )


def judged(conclusion: Conclusion, *rows: Row) -> Conclusion:
    """``trivial`` where a row that learned nothing is not told apart from another."""
    trivial = [row for row in rows if row["trivial"]]
    if len(trivial) == len(rows) or (trivial and conclusion not in _RANKED):
        return "trivial"
    return conclusion
