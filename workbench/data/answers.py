"""Questions about a context, with the spans of it that answer them, in SQuAD's form."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from workbench.data.cells import unwritten
from workbench.data.examples import Examples, Role
from workbench.data.reading import Reading, joined_ids, nothing_to_learn
from workbench.data.rows import Rows, all_of, checked_texts, is_missing
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import QuestionAnswering

Answer = tuple[int, str]
"""Character offset into the context, and the text that stands there."""

_Said = tuple[int | None, str]
"""The same as written: without an offset where the text is to be looked up."""

_FORM = 'an answer is {"text": ["in Paris"], "answer_start": [17]}, both lists empty for none'


def read_answers(splits: Mapping[Role, Rows], spec: DataSpec, task: QuestionAnswering) -> Reading:
    """Contexts and questions, each with its right answers; an empty tuple where there is none.

    An answer may also be a plain text, where blank means none, or lack its start: it is looked up
    in the context.

    Raises:
        DataError: no question column, or an answer that does not stand where it is said to; rows
            are named.
    """
    if not spec.text_pair:
        raise DataError(
            "no column with the questions",
            where="data.text_pair",
            why="question-answering reads contexts (data.text), questions (data.text_pair) and "
            "answers (data.label)",
            fix="set data.text_pair, e.g. data: {text: context, text_pair: question, label: "
            "answers}",
        )
    contexts: list[str] = []
    questions: list[str] = []
    labels: list[tuple[Answer, ...]] = []
    repeated = 0
    for rows in splits.values():
        found, asked = all_of(
            partial(checked_texts, rows, spec.text, rows.texts),
            partial(checked_texts, rows, spec.text_pair, rows.pairs or ()),
        )
        questions += asked
        said = _said(rows, spec.label)
        labels += _answers(rows, spec.label, said, found)
        contexts += found
        repeated += sum(
            any(start is None and text.count(answer) > 1 for start, answer in answers)
            for answers, text in zip(said, found, strict=True)
        )
    examples = Examples(
        ids=joined_ids(splits), texts=tuple(contexts), pairs=tuple(questions), labels=tuple(labels)
    )
    note = (
        f"{repeated:,} of {len(examples):,} answers occur more than once in their context; the "
        "first place is taken for the right one."
    )
    return Reading(examples, notes=(note,) if repeated else ())


def _said(rows: Rows, column: str | list[str]) -> list[tuple[_Said, ...]]:
    """The answers of each row as written."""
    said = [_spans(value) for value in rows.labels]
    rows.column(column, rows.labels).refuse(
        (row for row, found in enumerate(said) if found is None),
        "something that is not an answer",
        why=_FORM,
        fix="write answers in this form, or as plain texts that are looked up in the context",
    )
    return [answers or () for answers in said]


def _answers(
    rows: Rows,
    column: str | list[str],
    said: Sequence[tuple[_Said, ...]],
    contexts: Sequence[str],
) -> list[tuple[Answer, ...]]:
    found = [
        tuple((context.find(text) if start is None else start, text) for start, text in answers)
        for answers, context in zip(said, contexts, strict=True)
    ]
    rows.column(column, rows.labels).refuse(
        (row for row, answers in enumerate(found) if any(start < 0 for start, _ in answers)),
        "an answer that does not occur in its context",
        why="extractive question-answering picks a piece of the context, letter by letter",
        fix="correct these rows, or leave the answer empty where the context does not answer",
    )
    wrong = {
        row: (start, text, contexts[row])
        for row, answers in enumerate(found)
        for start, text in reversed(answers)
        if contexts[row][start : start + len(text)] != text
    }
    shown = [_what_stands_there(*wrong[i]) if i in wrong else "" for i in range(len(found))]
    elsewhere = sum(text in context for _, text, context in wrong.values())
    rows.column(column, shown).refuse(
        wrong,
        "an answer that does not stand at its answer_start",
        why="answer_start counts the characters of the context, from 0; bytes, tokens or a text "
        "that was cleaned afterwards count differently",
        fix=f"correct answer_start ({elsewhere:,} of these answers stand elsewhere in their "
        "context), or write answers as plain texts that are looked up in the context",
    )
    return found


def _spans(value: object) -> tuple[_Said, ...] | None:
    """The answers as (start, text), or None where the value is something else."""
    value = _unwritten(value)
    if is_missing(value):
        return ()
    if isinstance(value, str):
        return ((None, value.strip()),)
    if isinstance(value, list | tuple):  # one object for each answer, as in SQuAD's own file
        if not all(isinstance(item, dict) for item in value):
            return None
        value = {key: [item.get(key) for item in value] for key in ("text", "answer_start")}
    if not isinstance(value, dict):
        return None
    texts, starts = _listed(value.get("text")), _listed(value.get("answer_start"))
    if texts is not None and value.get("answer_start") is None:
        starts = [None] * len(texts)
    if texts is None or starts is None or len(texts) != len(starts):
        return None
    if not all(isinstance(text, str) and text.strip() for text in texts):
        return None
    if not all(start is None or (type(start) is int and start >= 0) for start in starts):
        return None
    return tuple(
        (start, text.strip() if start is None else text)
        for start, text in zip(starts, texts, strict=True)
    )


def _unwritten(value: object) -> object:
    """A csv cell that holds answers as text, as what it stands for."""
    if not isinstance(value, str):
        return value
    found = unwritten(value)
    if isinstance(found, str):
        half = found.lstrip().startswith("{") and "answer_start" in found
        return {} if half else found  # an object that is no answer, rather than a text
    no_answers = isinstance(found, list) and not all(isinstance(item, dict) for item in found)
    return value if no_answers else found


def _listed(value: object) -> list[Any] | None:
    return list(value) if isinstance(value, list | tuple) else None


def _what_stands_there(start: int, text: str, context: str) -> str:
    # Short, as a message shows 60 characters of a value.
    return f"{text[:16]} at {start}: there stands {context[start : start + len(text)][:16]!r}"


def check_answers(
    reading: Reading,
    splits: Mapping[Role, Sequence[int]],
    spec: DataSpec,
    task: QuestionAnswering,
) -> tuple[str, ...]:
    """Notes on contexts that are asked about both in training and in the test.

    Raises:
        DataError: no question of train has an answer.
    """
    examples = reading.examples
    if not any(examples.labels[i] for i in splits["train"]):
        what = f"none of the {len(splits['train']):,} questions of train has an answer"
        raise nothing_to_learn(what, spec)
    trained = {examples.texts[i] for i in splits["train"]}
    notes = [] if task.allow_no_answer else _unreachable(examples, splits)
    for role in ("validation", "test"):
        known = sum(examples.texts[i] in trained for i in splits[role])
        if known:
            notes.append(
                f"{known:,} of {len(splits[role]):,} {role} questions are about a context that "
                f"train asks about too: scores on {role} may be too good for new contexts"
                + (f"; data.group: {spec.text} keeps them apart." if spec.group is None else ".")
            )
    return tuple(notes)


def _unreachable(examples: Examples, splits: Mapping[Role, Sequence[int]]) -> list[str]:
    """How far a score can rise where questions have no answer and every one is answered."""
    notes = []
    for role in ("validation", "test"):
        rows = splits[role]
        without = sum(not examples.labels[i] for i in rows)
        if without:
            best = (len(rows) - without) / len(rows)
            # Not a bound to the letter: SQuAD's script takes an answer such as "the" for none.
            notes.append(
                f"{without:,} of {len(rows):,} {role} questions have no answer and "
                "task.allow_no_answer is false, so every one is answered: right answers to all "
                f"others give {best:.3f} in exact_match and answer_f1 on {role}, the best that can "
                "be reached; set it to true for data like SQuAD 2.0."
            )
    return notes
