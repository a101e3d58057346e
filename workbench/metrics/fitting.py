"""Which metrics the data of a recipe can be scored by, found out before anything is trained.

A metric that is undefined even for right answers (entities of tags that mark none, the correlation
with numbers that are all the same) can neither select a state nor be compared.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from workbench.data.encode import Encoded
from workbench.data.examples import Data
from workbench.errors import UsageError
from workbench.metrics.scores import score
from workbench.metrics.scripts import USUAL, Cutting, cutting
from workbench.metrics.text_scores import bleu
from workbench.recipe.catalogue import METRICS, SPANS, TEXT, TOKENS, higher_is_better
from workbench.tasks import AnyTask, make_task

SCORED = ("validation", "test")


def fit_metrics(task: AnyTask, data: Data) -> tuple[AnyTask, tuple[str, ...]]:
    """The task with metrics that are defined on its data, and notes for the user.

    The usual metrics of a task are replaced where they are undefined; those that a recipe names
    stay, as long as the first of them, which selects the best state, is defined.

    Raises:
        UsageError: when a metric does not fit the labels, or the first one named is undefined.
    """
    names = task.spec.score_names
    _try_on(task, names, data.train.labels)
    best = {role: _best(task, names, getattr(data, role).labels) for role in SCORED}
    undefined = {role: _without_number(scores) for role, scores in best.items()}
    lost = [name for name in names if any(name in found for found in undefined.values())]
    if not lost:
        counts = counted(task, data)
        flat = _flat_note(names[0], best)
        return task, (*_script_notes(names, counts), *_short_note(names, data), *flat)
    where = " and ".join(role for role in SCORED if undefined[role])
    what = f"{', '.join(lost)} cannot be computed on {where}"
    why = f"even right answers have no score there: {_REASONS[task.spec.view]}"
    defined = _defined(task, data)
    if not task.spec.metrics:
        spec = task.spec.model_copy(update={"metrics": defined})
        note = f"{what} ({why}), so the test is scored by {', '.join(defined)}."
        return make_task(spec, task.label_names), (note,)
    if lost[0] == names[0]:
        raise UsageError(
            what,
            where="task.metrics",
            why=f"the first metric selects the best state, and {why}",
            fix=f"put one of these first: {', '.join(defined)}",
        )
    return task, (f"{what}: {why}.",)


def check_units(task: AnyTask, splits: Mapping[str, Encoded]) -> Iterator[str]:
    """Notes on metrics made of likelihood that have nothing to be divided by.

    A text of one word has no word to predict, as the first token is given.

    Raises:
        UsageError: when the first metric that the recipe names is one of them.
    """
    names = [name for name in task.spec.score_names if name == "word_perplexity"]
    scored = [role for role in SCORED if len(splits[role])]
    if not names or task.spec.kind not in (TOKENS, TEXT):
        return
    empty = [role for role in scored if not sum(splits[role].column("words"))]
    if not empty:
        return
    what = f"{names[0]} cannot be computed on {' and '.join(empty)}"
    why = "no word begins in the tokens that are predicted"
    if names[0] == task.spec.score_names[0]:
        raise UsageError(
            what,
            where="task.metrics",
            why=f"the first metric selects the best state, and {why}",
            fix="put perplexity first",
        )
    yield f"{what}: {why}."


def counted(task: AnyTask, data: Data) -> Cutting:
    """What ROUGE, BLEU and the F1 of spans count in the right texts of the test split."""
    if task.spec.kind == SPANS:
        found = cutting([text for answers in data.test.labels for _, text in answers])
        return found if found.rouge == "characters" else USUAL
    return cutting(data.test.labels) if task.spec.kind == TEXT else USUAL


def _script_notes(names: Sequence[str], found: Cutting) -> Iterator[str]:
    words = [name for name in names if name.startswith("rouge") or name == "answer_f1"]
    if words and not found.is_usual_rouge:
        yield (
            f"{', '.join(words)} count {found.rouge} without stemming: most letters of the right "
            "answers are not Latin."
        )
    if "bleu" in names and found.bleu != USUAL.bleu:
        yield f"bleu is computed with sacrebleu's tokeniser {found.bleu} (tok:{found.bleu})."


def _short_note(names: Sequence[str], data: Data) -> Iterator[str]:
    right = list(data.test.labels)
    if "bleu" in names and right and not bleu(right, right):
        yield (
            "bleu is 0 for every answer: no completion of the test split has four words, and it "
            "counts sequences of up to four."
        )


_REASONS = {
    "labels": "all its numbers are the same",
    "tags": "no tag begins with B- or I-",
}


def _defined(task: AnyTask, data: Data) -> list[str]:
    """The usual metrics that are defined, or else all that are."""
    usual = task.spec.model_copy(update={"metrics": []}).score_names
    fitting = [name for name, metric in METRICS.items() if task.spec.kind in metric.kinds]
    best = [_best(task, fitting, getattr(data, role).labels) for role in SCORED]
    lost = {name for scores in best for name in _without_number(scores)}
    return [n for n in usual if n not in lost] or [n for n in fitting if n not in lost]


def _best(task: AnyTask, names: Sequence[str], labels: Sequence[Any]) -> dict[str, float | None]:
    """What metrics of the catalogue give when every answer is right; nothing without labels."""
    right = task.labels_as_answers(labels)
    known = [name for name in names if name in METRICS]
    return score(known, task.spec.kind, right, right) if right else {}


def _without_number(scores: Mapping[str, float | None]) -> list[str]:
    return [name for name, value in scores.items() if value is None]


def _flat_note(first: str, best: Mapping[str, Mapping[str, float | None]]) -> Iterator[str]:
    """A note where the first metric is 0 for every answer, as F1 is without positive rows."""
    flat = [role for role, found in best.items() if found.get(first) == 0]
    if flat and higher_is_better(first):
        yield (
            f"{first} is 0 on {' and '.join(flat)} whatever is answered: there is nothing to find "
            "in it. Of states with the same score the one with the lower loss is kept."
        )


def _try_on(task: AnyTask, names: Sequence[str], labels: Sequence[Any]) -> None:
    if task.spec.view != "labels":
        return
    try:
        score(names, task.spec.kind, labels, labels)
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"the metrics {', '.join(names)} do not fit the labels: {str(error).splitlines()[0]}",
            where="task.metrics",
            fix="e.g. f1 needs exactly two classes; use f1_macro for more",
        ) from error
