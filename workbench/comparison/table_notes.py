"""The notes under a table: what its intervals are over, and what its recipes differ in."""

from workbench.comparison.configuration import MOST_READ
from workbench.comparison.result import OVER_BOTH, OVER_SEEDS, OVER_TEXTS, Group, covered
from workbench.comparison.retention import in_words
from workbench.comparison.rows import grouped
from workbench.comparison.statistics import scale_of
from workbench.formatting import plain
from workbench.recipe.catalogue import higher_is_better

LOWER = "↓"
MOST_VALUES, MOST_KEYS = 6, 4


def retention_note(group: Group) -> list[str]:
    """What retention is made of, where there is any."""
    said = plain(in_words(group.rows))
    return [f"retention: {said} [95% interval over seeds and passages]"] if said else []


def interval_note(group: Group, *, counted: bool) -> str:
    """What the intervals of the scores are over, and of which scores it is less."""
    runs = " (number of seeds)" if counted else ""
    metrics: dict[str, dict[str, None]] = {OVER_BOTH: {}, OVER_TEXTS: {}, OVER_SEEDS: {}, "": {}}
    for row in group.rows:
        for name, summary in row["metrics"].items():
            metrics[covered(summary)][name] = None
    kinds = [kind for kind, names in metrics.items() if kind and names]
    if not kinds:
        return f"score{runs}"
    less = {OVER_TEXTS: "one seed", OVER_SEEDS: plain(", ".join(metrics[OVER_SEEDS]))}
    rest = "".join(f"; of {less[kind]} {kind}" for kind in kinds[1:])
    return f"score [95% interval {kinds[0]}]{runs}{rest}"


def direction_note(group: Group) -> list[str]:
    """What the arrow at a metric means, where there is one."""
    if all(higher_is_better(name) for row in group.rows for name in row["metrics"]):
        return []
    said = f"{LOWER} lower is better"
    if any(row["baseline"] for row in group.rows) and not higher_is_better(group.metric):
        below = "a ratio below 1" if scale_of(group.metric) == "ratio" else "Δ below 0"
        said += f", so {below} is an improvement"
    return [said]


def configuration_note(group: Group) -> list[str]:
    """What the recipes of a group do differently besides the method itself."""
    if len(group.rows) > MOST_READ:
        return [f"more than {MOST_READ} recipes: how they differ besides the method is not listed"]
    parts = []
    for key, values in group.config_difference().items():
        if key.startswith("method."):
            continue
        texts = {label: str(value) for label, value in values.items()}
        by_value = grouped(texts, texts.__getitem__)
        shown = ", ".join(f"{value} ({', '.join(labels)})" for value, labels in by_value.items())
        few = len(by_value) <= MOST_VALUES
        parts.append(f"{key} = {shown}" if few else f"{key} ({len(by_value)} values)")
    if not parts:
        return []
    rest = len(parts) - MOST_KEYS
    more = f"; and {rest} more keys" if rest > 0 else ""
    listed = "; ".join(parts[:MOST_KEYS])
    return [plain(f"besides the method, the recipes differ in {listed}{more}")]
