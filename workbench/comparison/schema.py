"""Every shape of the JSON document of a comparison; docs/comparing.md says what each field means.

``{"rows": [Row], "references": [Reference], "warnings": [text], "verdicts": [Verdict],
"verdict_notes": [text], "pareto": [ParetoStatus], "pareto_objectives": [name]}``. Numbers are
exact, in the unit that the name says; what is absent is null.
"""

from typing import Any, Literal, TypedDict

Scores = dict[str, float | None]

Conclusion = Literal[
    "better",
    "worse",
    "same",
    "run_better",
    "run_worse",
    "run_same",
    "hint",
    "unclear",
    "trivial",
    "untested",
]
"""``run_``: of one run each, which is about these two adapters and not about the methods;
``trivial``: not told apart, and one of them learned nothing."""
Standing = Literal["better", "matches", "worse", "undecided", "untested", "learned_nothing"]
Dominance = Literal["front", "possibly_dominated", "dominated"]


class Summary(TypedDict):
    """A metric over the seeds of a row, with the interval over seeds on this test set; ``values``
    in the order of ``seeds``, null where absent."""

    mean: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    values: list[float | None]


class ScoreSummary(Summary):
    """A test score, with its interval over seeds and texts, of one run over texts; null where the
    scores of single texts are not known."""

    population_ci_low: float | None
    population_ci_high: float | None


class RetentionSummary(Summary):
    """What a row has kept of its base, 1 for the base itself, with its interval over seeds and
    passages of the general text. ``measure`` says of what; without perplexities it is CKA."""

    measure: str
    perplexity: float | None
    base_perplexity: float | None


class Collapse(TypedDict):
    """A run that learned nothing, why, and the one answer that it gives to every test text; null
    where it gives several."""

    seed: int
    score: float | None
    answer: str | None
    reason: str


class Reference(TypedDict):
    """A score without fine-tuning on the same test split, e.g. of the majority class."""

    name: str
    group: int
    metrics: Scores


class Row(TypedDict):
    """One recipe with one fingerprint, its seeds taken together."""

    group: int
    label: str
    study: str
    method: str
    recipe: str
    task: str | None
    model: str | None
    fingerprint: str
    seeds: list[int]
    runs: list[str]
    primary_metric: str | None
    metrics: dict[str, ScoreSummary]
    validation_metrics: dict[str, Summary]
    baseline: str | None
    baseline_delta: dict[str, float]
    baseline_ratio: dict[str, float]
    baseline_paired: dict[str, Summary]
    trainable_parameters: int
    head_parameters: int | None
    adapter_parameters: int | None
    total_parameters: int
    stored_parameters: int | None
    adapter_bytes: int | None
    dropout: str
    device: str | None
    hardware: list[str]
    peak_memory_bytes: int | None
    train_seconds: float | None
    retention: RetentionSummary | None
    steps_per_second: float | None
    tokens_per_second: float | None
    per_seed: dict[str, list[float | None]]
    collapsed: list[Collapse]
    trivial: str | None


class Size(TypedDict):
    """A score minus another. Of an exponential such as perplexity ``ratio`` is the first divided by
    the second; of others it is null."""

    difference: float | None
    ci_low: float | None
    ci_high: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None


class Verdict(Size):
    """A recipe against another; the numbers are the first minus the second."""

    group: int
    metric: str
    label: str
    against: str
    p_value: float | None
    p_adjusted: float | None
    comparisons: int
    test: str | None
    covers: list[str]
    runs: int
    runs_against: int
    looks: int
    level: float | None
    items: int | None
    grouped: bool
    effect: str | None
    effect_size: float | None
    conclusion: Conclusion
    margin: float
    margin_ratio: float | None
    detectable: float | None
    detectable_ratio: float | None
    limit: str | None
    seeds_needed: int | None
    items_needed: int | None
    needed_range: list[int | None] | None
    note: str | None
    caveats: list[str]
    sentence: str
    details: str


class Answer(TypedDict):
    """What a group of rows answers: how each row stands to the baseline, and all of it in words."""

    group: int
    metric: str
    baselines: list[str]
    standings: dict[Standing, list[str]]
    text: str


class ParetoStatus(TypedDict):
    group: int
    label: str
    status: Dominance | None
    on_front_by_means: bool | None
    dominated_by: list[str]
    possibly_dominated_by: list[str]
    values: dict[str, float | None]


class GroupDifference(TypedDict):
    """The settings in which the rows of a group differ (``compare --config-diff``); a row without
    the key is absent there."""

    group: int
    rows: list[str]
    settings: dict[str, dict[str, Any]]
