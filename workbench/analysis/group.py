"""What report and UI both say of a group of comparable recipes beyond its table."""

from functools import cached_property

from workbench.analysis.classes import Classes, classes_of
from workbench.analysis.disagreements import Example, Pair, disagreements, examples_of, pairs_of
from workbench.analysis.predictions import Predictions, aligned_predictions, kind_of
from workbench.analysis.records import finite, get_section, get_strings
from workbench.comparison.result import Group
from workbench.recipe.catalogue import TEXT, TOKENS, AnswerKind


class Analysis:
    """A group, and what follows from the predictions of its runs, read when it is asked for."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.number, self.metric, self.labels = group.number, group.metric, group.labels
        self.methods = {str(row["label"]): str(row["method"]) for row in group.rows}

    @property
    def facts(self) -> str:
        first = self.group.samples[0]
        sizes = get_section(get_section(first.runs[0].result, "data"), "sizes")
        counted = [f"{count:,} for {name}" for name, count in sizes.items() if finite(count)]
        sources = {s.settings.get("data.source") for s in self.group.samples}
        source = ", ".join(sorted(str(name) for name in sources if name))
        data = f" on {source}" if source else ""
        examples = f": examples {', '.join(counted)}" if counted else ""
        return f"{first.first.task}{data}{examples}."

    @cached_property
    def kind(self) -> AnswerKind | None:
        return kind_of(self.group.samples[0])

    @property
    def score_word(self) -> str:
        return "mean log-probability" if self.kind in (TEXT, TOKENS) else "probability"

    @cached_property
    def predictions(self) -> dict[str, list[Predictions]]:
        """Those of each seed by row label, on the same test examples."""
        return aligned_predictions(self.group.samples)

    @cached_property
    def classes(self) -> dict[str, Classes]:
        """Scores of each class by row label; empty where the answers are no classes."""
        first = self.group.samples[0].runs[0].result
        known = get_strings(get_section(first, "data"), "labels")
        found = {
            label: classes_of(self.kind, seeds, known) for label, seeds in self.predictions.items()
        }
        return {label: each for label, each in found.items() if each is not None}

    @cached_property
    def examples(self) -> list[Example]:
        several = len(self.predictions) > 1
        return examples_of(self.kind, self.predictions) if several else []

    @cached_property
    def disagreements(self) -> list[Example]:
        """Those to which the recipes give different answers, furthest apart first."""
        return disagreements(self.kind, self.examples)

    @cached_property
    def pairs(self) -> list[Pair]:
        return pairs_of(self.kind, self.examples)
