"""Which task some data is for, and which of its columns is what.

What the columns hold decides; their names only where that leaves several. What neither decides is
refused with the candidates.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from workbench.data.preview import Preview
from workbench.errors import UsageError, nearest
from workbench.new_study.columns import FEW, Column, columns_of
from workbench.new_study.names import COMMON, GROUPS, LABELS, PROMPTS, TEXTS, are_pair, is_named
from workbench.new_study.problem_type import check_problem_type, problem_type_of
from workbench.new_study.questions import OPTIONS, Ambiguous, Given, Guess, Reason
from workbench.new_study.relations import context, named, no_answer, of_kind, prompt, words_and_tags
from workbench.recipe.catalogue import SINGLE
from workbench.recipe.sources import is_separated
from workbench.recipe.tasks import TASK_SPECS

SIMILAR = 3.0
"""Two texts are a pair unless one is that many times as long as the other."""
FEWEST_GROUPS = 10


def guess(found: Preview, given: Given) -> Guess:
    """The task and the columns of some data.

    Raises:
        Ambiguous: several fit.
        UsageError: none does, or what was said does not.
    """
    columns = columns_of(found.columns)
    _check_header(found)
    if given.task is not None and given.task not in TASK_SPECS:
        near = nearest(given.task, TASK_SPECS)
        fix = f"did you mean {near}?" if near else f"one of: {', '.join(TASK_SPECS)}"
        raise UsageError(f"no task called {given.task!r}", where="--task", fix=fix)
    given = check_problem_type(given)
    if found.layout == "words":
        why = "a file with a word and its tag on each line"
        data = {k: v for k, v in (("text", given.text), ("label", given.label)) if v}
        return _whole(given, "token-classification", why, data, columns)
    if found.layout == "classes":
        return _whole(given, "text-classification", "a folder of texts for each class", {}, columns)
    _check_named(given, columns)
    source = _Source(found, columns, given)
    task, why = (given.task, "") if given.task else source.task()
    guessed = source.of_task(task)
    reasons = [Reason("task", task, why), *guessed.reasons] if why else guessed.reasons
    data = guessed.data
    split = [name for name, column in columns.items() if column.kind == "split"]
    if found.spec.splits is None and len(split) == 1:
        data = {**data, "split_column": split[0]}
        reasons.append(Reason("split_column", split[0], columns[split[0]].about))
    return Guess(task=guessed.task, data=data, reasons=reasons, columns=columns)


def _whole(
    given: Given, task: str, why: str, data: dict[str, Any], columns: Mapping[str, Column]
) -> Guess:
    """The guess where the layout of the source says it all."""
    if given.task not in (None, task):
        raise UsageError(f"this is {why}, for {task}", where="--task", fix="leave it out")
    reasons = [Reason("task", task, why)]
    return Guess(task={"name": task}, data=data, reasons=reasons, columns=columns)


def _check_header(found: Preview) -> None:
    """Refuses the first row of a csv or tsv file as header where it looks like all others."""
    for name, values in found.columns.items():
        if is_separated(found.spec.source) and name in values and name.lower() not in COMMON:
            raise UsageError(
                f"the first line holds {name!r} as the name of a column, and so do rows of it",
                where="--data",
                why="the first line of a csv or tsv file names the columns; here it may be a row",
                fix="put a line with names before it, such as text,label, or rename the column",
            )


def _check_named(given: Given, columns: Mapping[str, Column]) -> None:
    labels = [given.label] if isinstance(given.label, str) else given.label or ()
    asked = [("text", given.text), ("text_pair", given.text_pair), ("group", given.group)]
    for key, name in [*asked, *(("label", label) for label in labels)]:
        if name and name not in columns:
            near = nearest(name, columns)
            raise UsageError(
                f"no column {name!r}",
                where=OPTIONS[key],
                why=f"the columns are {', '.join(map(repr, columns))}",
                fix=f"did you mean {near!r}?" if near else "name one of them",
            )


class _Source:
    """The columns of some rows, and which of them could be what."""

    def __init__(self, found: Preview, columns: Mapping[str, Column], given: Given) -> None:
        self.found, self.columns, self.given = found, columns, given
        taken = {given.label} if isinstance(given.label, str) else {*(given.label or ())}
        self.texts = [n for n in of_kind(self.columns, "text") if n not in taken | {given.group}]
        if given.text and given.text not in self.texts:
            self.texts.insert(0, given.text)
        said = {given.text, given.text_pair, given.group}
        self.labels = [n for n in columns if self._may_be_label(columns[n]) and n not in said]

    def _may_be_label(self, column: Column) -> bool:
        if column.kind == "whole" and column.different > FEW:
            return is_named(column.name, LABELS)
        return column.kind in ("category", "whole", "fraction", "labels") and column.different > 1

    def task(self) -> tuple[str, str]:
        """What the columns are for, and why."""
        if chats := of_kind(self.columns, "chat"):
            return "instruction", f"column {chats[0]!r} holds chats"
        if words_and_tags(self.columns, self.found.columns):
            return "token-classification", "two columns hold lists of the same lengths"
        if answered := context(self.columns, self.found.columns, self.texts):
            why = f"what {answered[2]!r} says stands in the texts of {answered[0]!r}"
            return "question-answering", why
        prompts = prompt(self.columns, self.texts)
        label = self.given.label
        if isinstance(label, str) and label and self.columns[label].kind == "text":
            return "instruction", "the label is a text to be written"
        if self.labels or self.given.label:
            if prompts and not self.given.label and not named(self.labels, LABELS):
                what = "two columns of texts that could be a prompt and its answer, and a label"
                raise Ambiguous("task", ["text-classification", "instruction"], what)
            return "text-classification", "texts, and a column with a label for each"
        if len(self.texts) > 1:
            return "instruction", "several columns of texts and none of labels"
        if self.texts:
            self._refuse_unread_label()
            return "causal-lm", "one column of texts and nothing else to learn"
        raise self._none("no column of texts", "text")

    def _none(self, what: str, key: str) -> UsageError:
        """The refusal where no column fits."""
        found = [f"{name}: {column.about}" for name, column in self.columns.items()]
        twice = [f"{name}: several columns have this name" for name in self.found.doubled]
        fix = "give each column a name of its own" if twice else f"name one with {OPTIONS[key]}"
        return UsageError(what, where="--data", why="; ".join([*found, *twice]), fix=fix)

    def _refuse_unread_label(self) -> None:
        """Refuses to leave out a column that is named as labels are and repeats."""
        for column in self.columns.values():
            repeats = 0 < column.different < column.rows - column.missing
            if column.name in self.texts or not repeats or not is_named(column.name, LABELS):
                continue
            what, why = f"column {column.name!r} may be the label", column.about
            if column.different == 1:
                why += "; with one class there is nothing to classify"
                fix = "bring rows of another class, or say --task causal-lm to learn the texts"
            else:
                fix = f"say --label {column.name!r} for text-classification, or --task causal-lm"
            raise UsageError(what, where="--data", why=why, fix=fix)

    def of_task(self, task: str) -> Guess:
        """The columns for a task."""
        if task == "masked-lm":
            return self._language(task)
        makers: dict[str, Callable[[], Guess]] = {
            "text-classification": self._classification,
            "token-classification": self._tags,
            "question-answering": self._answers,
            "instruction": self._instruction,
        }
        return makers[task]() if task in makers else self._language(task)

    def _one(self, key: str, candidates: Sequence[str], names: frozenset[str], what: str) -> str:
        """The one candidate, or the one that is named so."""
        left = list(candidates) if len(candidates) < 2 else named(candidates, names)
        if len(left) == 1:
            return left[0]
        if not candidates:
            raise self._none(f"no column that could be {what}", key)
        why = "; ".join(f"{name}: {self.columns[name].about}" for name in candidates)
        raise Ambiguous(key, left or candidates, f"several columns could be {what}", why)

    def _language(self, task: str) -> Guess:
        text = self.given.text or self._one("text", self.texts, TEXTS, "the text")
        return self._made(task, {"text": text})

    def _made(self, task: str, data: dict[str, Any], **settings: Any) -> Guess:
        """The guess with the reason of each column that was not given."""
        data = {key: value for key, value in data.items() if value}
        reasons = []
        for key, value in data.items():
            names = [value] if isinstance(value, str) else value
            about = self.columns[names[0]].about if len(names) == 1 else "columns of 0 and 1"
            given = getattr(self.given, key)
            reasons.append(Reason(key, ", ".join(names), f"{about}{' (as said)' * bool(given)}"))
        group = self._group(data)
        if group is not None:
            data["group"] = group.value
            reasons.append(group)
        return Guess(task={"name": task, **settings}, data=data, reasons=reasons)

    def _classification(self) -> Guess:
        label = self.given.label or self._label()
        names = [label] if isinstance(label, str) else label
        texts = [name for name in self.texts if name not in names]
        text, pair = self.given.text, self.given.text_pair
        if text is None and pair is None:
            text, pair = self._pair(texts)
        text = text or self._one("text", [t for t in texts if t != pair], TEXTS, "the text")
        data = {"text": text, "text_pair": pair, "label": label}
        labels = [self.columns[name] for name in names]
        problem_type, reason = problem_type_of(labels, self.given.problem_type)
        settings = {} if problem_type == SINGLE else {"problem_type": problem_type}
        made = self._made("text-classification", data, **settings)
        made.reasons.extend(reason)
        return made

    def _label(self) -> str | list[str]:
        binary = [n for n in self.labels if {*self.columns[n].counts} == {"0", "1"}]
        if len(binary) > 1 and len(binary) == len(self.labels):
            return binary
        few = [name for name in self.labels if self.columns[name].different <= FEW]
        others = [name for name in self.labels if not is_named(name, GROUPS)]
        candidates = [name for name in others if name in few] or others or self.labels
        return self._one("label", candidates, LABELS, "the label")

    def _pair(self, texts: Sequence[str]) -> tuple[str | None, str | None]:
        """The two texts of a pair, or the one text."""
        if len(texts) != 2:
            return None, None
        one, other = texts
        short, long = sorted((one, other), key=lambda name: self.columns[name].words)
        similar = self.columns[long].words <= SIMILAR * max(self.columns[short].words, 1.0)
        return (one, other) if similar or are_pair(one, other) else (long, None)

    def _tags(self) -> Guess:
        words, tags = words_and_tags(self.columns, self.found.columns) or (None, None)
        text, label = self.given.text or words, self.given.label or tags
        lists = of_kind(self.columns, "words", "labels")
        text = text or self._one("text", lists, TEXTS, "the words")
        rest = [name for name in lists if name != text]
        return self._made(
            "token-classification",
            {"text": text, "label": label or self._one("label", rest, LABELS, "the tags")},
        )

    def _answers(self) -> Guess:
        found = context(self.columns, self.found.columns, self.texts) or (None, None, None)
        text, question, answers = found
        data = {
            "text": self.given.text or text or self._one("text", self.texts, TEXTS, "the context"),
            "text_pair": self.given.text_pair or question,
            "label": self.given.label or answers,
        }
        for key, what in (("text_pair", "the question"), ("label", "the answers")):
            data[key] = data[key] or self._one(key, self.texts, frozenset(), what)
        values = self.found.columns[str(data["label"])]
        if not any(map(no_answer, values)):
            return self._made("question-answering", data)
        made = self._made("question-answering", data, allow_no_answer=True)
        made.reasons.append(Reason("allow_no_answer", "true", "some questions have none"))
        return made

    def _instruction(self) -> Guess:
        if chats := of_kind(self.columns, "chat"):
            return self._made("instruction", {"text": self.given.text or chats[0]})
        text, below, completion = prompt(self.columns, self.texts) or (None, None, None)
        text, label = self.given.text or text, self.given.label or completion
        pair = self.given.text_pair if self.given.text_pair is not None else below
        texts = [name for name in self.texts if name not in (text, label, pair)]
        if text is None:
            text = self._one("text", texts, PROMPTS[0], "the prompt")
            texts.remove(text)
        label = label or self._one("label", texts, PROMPTS[2], "what is to be written")
        return self._made("instruction", {"text": text, "text_pair": pair, "label": label})

    def _group(self, data: Mapping[str, Any]) -> Reason | None:
        """The column whose rows belong together: as said, a first text that stands in several rows,
        or a column that is named so and repeats."""
        if self.given.group is not None:
            group = self.given.group
            return (
                Reason("group", group, f"{self.columns[group].about} (as said)") if group else None
            )
        text = self.columns[data["text"]]
        if data.get("text_pair") and text.kind == "text" and 1.5 * text.different <= text.rows:
            return Reason("group", text.name, f"{text.different:,} texts stand in several rows")
        used = {*data.values()} if all(isinstance(v, str) for v in data.values()) else set()
        for name in of_kind(self.columns, "category", "whole", "code"):
            column = self.columns[name]
            repeats = FEWEST_GROUPS <= column.different <= column.rows / 1.5
            if name not in used and repeats and not column.missing and is_named(name, GROUPS):
                why = f"{column.different:,} different values, each in several rows"
                return Reason("group", name, why)
        return None
