"""Prompts with their completions, in two columns or as chats."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from workbench.data.cells import unwritten
from workbench.data.columns import refuse_missing
from workbench.data.examples import Examples, Role
from workbench.data.reading import Reading, joined_ids, joined_texts
from workbench.data.rows import Rows, all_of, checked_texts, is_missing
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec
from workbench.recipe.tasks import Instruction

Message = tuple[str, str]
"""Role and content."""

ROLES_OF_MESSAGES = ("system", "developer", "user", "assistant", "tool")

_FORM = '[{"role": "user", "content": "..."}, {"role": "assistant", "content": "..."}]'


def read_completions(splits: Mapping[Role, Rows], spec: DataSpec, task: Instruction) -> Reading:
    """Prompts, each with the completion to be learned.

    Of a chat the assistant's last message is the completion, the messages before it are `parts`
    and the user's last one among them is the text.

    Raises:
        DataError: an empty prompt or completion, or a chat that cannot be learned from; rows are
            named.
    """
    splits = {
        role: replace(rows, texts=[_chat_or_text(text) for text in rows.texts])
        for role, rows in splits.items()
    }
    chats = [isinstance(text, list | tuple) for rows in splits.values() for text in rows.texts]
    if any(chats) and not all(chats):
        raise DataError(
            f"chats in {sum(chats):,} rows and texts in {len(chats) - sum(chats):,}",
            where=f"{spec.source}, column {spec.text!r}",
            why="a prompt is either a text or a list of messages, in all rows alike",
            fix=f"write the texts as chats too: {_FORM}",
        )
    if any(chats) and spec.text_pair:
        raise DataError(
            f"data.text_pair is {spec.text_pair!r}, but column {spec.text!r} holds chats",
            where=spec.source,
            why="a chat has all that the model is shown",
            fix="remove data.text_pair",
        )
    return _chats(splits, spec) if any(chats) else _prompts(splits, spec)


def _chat_or_text(text: object) -> object:
    """A chat that a csv cell holds as text; other texts may well be JSON themselves."""
    found = unwritten(text)
    if isinstance(found, list) and found and all(isinstance(m, dict) for m in found):
        if all(m.keys() & {"role", "from"} for m in found):
            return found
    return text


def _prompts(splits: Mapping[Role, Rows], spec: DataSpec) -> Reading:
    for rows in splits.values():
        if not rows.labels and isinstance(spec.label, str):
            refuse_missing([spec.text, spec.label], rows.found, rows.where)
    prompts, below, *completions = all_of(
        lambda: joined_texts(splits, spec),
        lambda: [t for r in splits.values() for t in _below(r, spec.text_pair)],
        *(partial(_completions, rows, str(spec.label)) for rows in splits.values()),
    )
    texts = tuple(
        f"{prompt}\n{text}" if text.strip() else prompt
        for prompt, text in zip(prompts, below, strict=True)
    )
    labels = tuple(text for of_split in completions for text in of_split)
    return Reading(Examples(ids=joined_ids(splits), texts=texts, labels=labels))


def _below(rows: Rows, column: str | None) -> tuple[str, ...]:
    """What stands below each prompt: Alpaca's input, which most rows do without."""
    if column is None:
        return ("",) * len(rows.ids)
    values = ["" if is_missing(value) else value for value in rows.pairs or ()]
    return checked_texts(rows, column, values, allow_empty=True)


def _completions(rows: Rows, column: str) -> tuple[str, ...]:
    rows.column(column, rows.labels).refuse(
        is_missing,
        "an empty completion",
        why="there is nothing to learn, and its score means nothing",
        fix="remove these rows, or name the right column in data.label",
    )
    return checked_texts(rows, column, rows.labels)


def _chats(splits: Mapping[Role, Rows], spec: DataSpec) -> Reading:
    texts: list[str] = []
    completions: list[str] = []
    parts: list[tuple[Message, ...]] = []
    longer = 0
    for rows in splits.values():
        for chat in _checked_chats(rows, spec.text):
            end = _last(chat, "assistant")
            parts.append(chat[:end])
            texts.append(chat[_last(chat[:end], "user")][1])
            completions.append(chat[end][1])
            longer += end + 1 < len(chat)
    note = (
        f"{longer:,} of {len(parts):,} chats continue after the assistant's last message; what "
        "comes after it is not used."
    )
    ids = joined_ids(splits)
    examples = Examples(ids=ids, texts=tuple(texts), labels=tuple(completions), parts=tuple(parts))
    return Reading(examples, notes=(note,) if longer else ())


def _checked_chats(rows: Rows, column: str) -> list[tuple[Message, ...]]:
    """The chats, each with a question of the user before the assistant's last message."""

    found = rows.column(column, rows.texts)
    found.refuse(
        lambda value: _messages(value) is None,
        "not a list of chat messages",
        why=f"a chat is {_FORM}, with the roles {', '.join(ROLES_OF_MESSAGES)} and texts as "
        "contents",
        fix="rename keys and roles, e.g. ShareGPT's from and value to role and content, human to "
        "user and gpt to assistant; calls of tools and images are not read",
    )
    chats = [_messages(value) or () for value in rows.texts]
    ends = [_last(chat, "assistant") for chat in chats]
    asked = [chat[:end] for chat, end in zip(chats, ends, strict=True)]
    found.refuse(
        (row for row, end in enumerate(ends) if end < 0),
        "a chat without a message of the assistant",
        why="the assistant's last message is the completion to be learned",
        fix="remove these rows, or put the completion at the end of the chat",
    )
    found.refuse(
        (
            row
            for row, chat in enumerate(asked)
            if (user := _last(chat, "user")) < 0 or not chat[user][1].strip()
        ),
        "a chat without a message of the user before the assistant's last one",
        why="a completion answers something",
        fix="remove these rows, or write what the assistant answers",
    )
    found.refuse(
        (row for row, end in enumerate(ends) if not chats[row][end][1].strip()),
        "an empty completion",
        why="there is nothing to learn, and its score means nothing",
        fix="remove these rows",
    )
    checked_texts(rows, column, ["\n".join(content for _, content in chat) for chat in chats])
    return chats


def _messages(value: object) -> tuple[Message, ...] | None:
    """The messages as (role, content), or None where one of them is not of that form."""
    if not isinstance(value, Sequence):
        return None
    messages: list[Message] = []
    for message in value:
        match message:
            case {"role": str(role), "content": str(content)} if role in ROLES_OF_MESSAGES:
                messages.append((role, content))
            case _:
                return None
    return tuple(messages)


def _last(chat: Sequence[Message], role: str) -> int:
    """Position of the last message of a role, -1 if there is none."""
    return max((i for i, (speaker, _) in enumerate(chat) if speaker == role), default=-1)
