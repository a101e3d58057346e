"""What a reader has to know before believing a difference between two rows: a sentence each."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from workbench.comparison.configuration import MOST_READ, differing
from workbench.comparison.rows import Sample, grouped
from workbench.comparison.statistics import interval
from workbench.formatting import listing, plural

STEPS_APART = 1.25
"""Ratio of the steps of two searches up to which they count as equally long."""

_DROPOUT = "training.dropout"

SEVERAL_STUDIES = "the studies differ in data, model or splits: compare within a group only"

WORDS = {
    "data": "data",
    "split": "splits",
    "base": "base models",
    "tokenisation": "tokenisation",
    "metrics": "versions of the metrics",
}


def different_conditions(samples: Sequence[Sample]) -> Iterator[str]:
    """Rows of one study whose scores must not be compared, and what differs."""
    for study in dict.fromkeys(s.first.study for s in samples):
        groups = _by_group(s for s in samples if s.first.study == study)
        (_, reference), *others = sorted(groups.items())
        for _, members in others:
            words = " and ".join(_differences(reference[0], members[0]))
            verb = "is" if len(members) == 1 else "are"
            yield (
                f"{_labels(members)} {verb} not comparable with {_labels(reference)}: different "
                f"{words}; shown apart, as groups {members[0].group} and {reference[0].group}"
            )
    if len({s.first.study for s in samples}) > 1 and len({s.group for s in samples}) > 1:
        yield SEVERAL_STUDIES


def several_configurations(samples: Sequence[Sample]) -> Iterator[str]:
    """Recipes of the same name that were changed between runs."""
    for rows in grouped(samples, lambda s: (s.first.study, s.first.recipe)).values():
        fingerprints = {s.first.fingerprint for s in rows}
        if len(fingerprints) == 1:
            continue
        few = rows if len(rows) <= MOST_READ else []
        keys = list(differing({s.label: s.settings for s in few}))
        where = f" (they differ in {listing(keys)})" if keys else ""
        yield (
            f"{rows[0].first.recipe} was run in {len(fingerprints)} configurations{where}: each "
            f"has its own row, {_labels(rows)}"
        )


def few_seeds(samples: Sequence[Sample]) -> Iterator[str]:
    """Rows without an interval, and rows of one group that do not share their seeds."""
    single = [s.label for s in samples if len(s.seeds) == 1]
    if single:
        yield f"one seed only, so nothing is known of other seeds: {listing(single)}"
    same = [s.label for s in samples if len(s.seeds) > 1 and _scores_tie(s)]
    if same:
        yield f"the same score with every seed, so no interval over seeds: {listing(same)}"
    for group, members in _by_group(samples).items():
        if len({tuple(sample.seeds) for sample in members}) > 1:
            parts = _shared(members, lambda s: listing([str(seed) for seed in s.seeds], 8))
            place = f" in group {group}" if len({s.group for s in samples}) > 1 else ""
            yield f"different seeds{place}: {'; '.join(parts)}"


def _scores_tie(sample: Sample) -> bool:
    """By the metric that selected the adapters."""
    metric = sample.first.primary_metric or ""
    scores = [record.metrics.test.get(metric) for record in sample.records]
    found = interval([score for score in scores if score is not None])
    return found.n > 1 and found.low is None


def different_hardware(samples: Sequence[Sample]) -> Iterator[str]:
    """Rows whose time and memory say more about the machine than about the method."""
    for s in samples:
        if len(s.hardware) > 1:
            yield f"{s.label} ran on {listing(s.hardware)}: its time and memory are not averaged"
    for members in _by_group(samples).values():
        if len({tuple(sample.hardware) for sample in members}) > 1:
            parts = _shared(members, lambda s: listing(s.hardware), "ran on")
            what = "time and memory are not comparable between these rows (scores are)"
            yield f"{what}: {'; '.join(parts)}"


def measured_beside(samples: Sequence[Sample]) -> Iterator[str]:
    """Times that are those of several runs on one device."""
    times = {s.label: [r.time for r in s.records if r.time.measured_beside] for s in samples}
    for solo in (False, True):
        counts = {label: sum((t.solo is not None) == solo for t in times[label]) for label in times}
        found = [f"{label} ({plural(count, 'run')})" for label, count in counts.items() if count]
        what = "shared their device with other runs, so their times are not compared"
        if solo:
            what += " (steps per second are, of a few that each took while the others waited)"
        if found:
            yield f"{listing(found)} {what}: run again without --parallel for a time"


def missing_metrics(samples: Sequence[Sample]) -> Iterator[str]:
    """Metrics that some runs of a group have and others lack."""
    for members in _by_group(samples).values():
        records = [(s.label, record) for s in members for record in s.records]
        for metric in dict.fromkeys(name for _, r in records for name in r.metrics.test):
            lacking = [
                f"{label} seed {record.seed}"
                for label, record in records
                if record.metrics.test.get(metric) is None
            ]
            if lacking:
                yield f"{metric} is absent, not zero, in {listing(lacking)}"


def different_budgets(samples: Sequence[Sample]) -> Iterator[str]:
    """Rows of a group that were trained, or tuned, more than others; they stay together."""
    for members in _by_group(samples).values():
        trained = _shared(members, _training)
        if len({text for s in members if (text := _training(s))}) > 1:
            yield (
                f"DIFFERENT TRAINING BUDGETS: {'; '.join(trained)}. A difference between them may "
                "be the budget's and not the method's"
            )
        tuned = _shared(members, _tuning)
        steps = [_tuning_steps(s) for s in members]
        # Searches of as many trials: one that diverges stops early.
        if len(tuned) == 1 and 0 < STEPS_APART * min(steps) < max(steps):
            tuned = _shared(members, lambda s: f"{_tuning_steps(s):,} steps")
        if len(tuned) > 1:
            yield f"DIFFERENT TUNING: {'; '.join(tuned)}. What was searched longer looks better"


def different_dropout(samples: Sequence[Sample]) -> Iterator[str]:
    """Rows of a group that their devices trained with and without dropout."""
    for members in _by_group(samples).values():
        differ = len({s.first.dropout for s in members}) > 1
        left = [s for s in members if differ and s.settings.get(_DROPOUT, "auto") == "auto"]
        if len({s.first.dropout for s in left}) > 1:
            parts = _shared(left, lambda s: s.first.dropout)
            yield (
                f"DIFFERENT TRAINING: {'; '.join(parts)}, as their devices do by default. Set "
                f"{_DROPOUT} to train alike on all of them"
            )


def _shared(
    members: Sequence[Sample], describe: Callable[[Sample], str | None], verb: str = "with"
) -> list[str]:
    """Which rows share each description, most first."""
    found = grouped(members, lambda sample: describe(sample) or "what is not known")
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    return [f"{_labels(sharing)} {verb} {text}" for text, sharing in ordered]


def _training(sample: Sample) -> str | None:
    budgets = {(r.time.examples_seen, r.time.steps) for r in sample.records}
    parts = [
        f"{examples:,} examples in {steps:,} steps"
        for examples, steps in sorted(budgets, key=str)
        if examples is not None and steps is not None
    ]
    return " or ".join(parts) if len(parts) == len(budgets) else None


def _tuning(sample: Sample) -> str:
    found = set()
    for tuning in (record.tuning for record in sample.records):
        text = "none recorded"
        if tuning and tuning.trials:
            keys = listing(sorted(tuning.search))
            text = f"{tuning.trials} trials{f' of {keys}' if keys else ''}"
        found.add(text)
    return " or ".join(sorted(found))


def _tuning_steps(sample: Sample) -> int:
    return max((r.tuning.steps or 0 for r in sample.records if r.tuning), default=0)


def forced_runs(samples: Sequence[Sample]) -> Iterator[str]:
    """Runs that went on although something was not what it was when they were saved."""
    found = [
        f"{s.label} seed {record.seed} ({listing(record.forced, 2)})"
        for s in samples
        for record in s.records
        if record.forced
    ]
    if found:
        why = "resumed by force after a change, so neither the old run nor a new one"
        yield f"{why}: {listing(found)}"


CHECKS: tuple[Callable[[Sequence[Sample]], Iterator[str]], ...] = (
    different_conditions,
    several_configurations,
    different_budgets,
    different_dropout,
    forced_runs,
    few_seeds,
    different_hardware,
    measured_beside,
    missing_metrics,
)


def _labels(samples: Sequence[Sample]) -> str:
    return listing([s.label for s in samples])


def _by_group(samples: Iterable[Sample]) -> dict[int, list[Sample]]:
    return grouped(samples, lambda sample: sample.group)


def _differences(one: Sample, other: Sample) -> list[str]:
    left, right = dict(one.first.conditions), dict(other.first.conditions)
    return [
        _word(key, left.get(key), right.get(key))
        for key in {**left, **right}
        if left.get(key) != right.get(key)
    ]


def _word(key: str, one: str | None, other: str | None) -> str:
    # A run that continues from an adapter writes "BASE after ADAPTER".
    bases = {(value or "").partition(" after ")[0] for value in (one, other)}
    if key == "base" and len(bases) == 1:
        return "starting points (init_from)"
    return WORDS.get(key, key)
