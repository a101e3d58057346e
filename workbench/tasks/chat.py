"""A prompt and its completion as token ids: through the tokenizer's chat template, or joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from workbench.errors import DataError, UsageError
from workbench.tasks.token_likelihood import end_token_id, spelled, without_end

Messages = Sequence[Sequence[str]]
"""(role, content) of each message."""

_REPLY = "completion"
"""Stands in for an answer while a template is looked at."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One example as token ids, nothing cut off."""

    prompt: list[int]
    body: tuple[int, int]
    """First token, and the one after the last, of what the user wrote: what may be cut first."""
    completion: list[int]
    """The tokens to learn, one that ends the turn last."""
    words: list[int]
    """Words that begin in each token of the completion."""
    bytes: list[int]
    """Bytes of text in each token of the completion."""

    def shortened(self, room: int) -> list[int]:
        """The prompt in at most ``room`` tokens: the end of the user's text is cut off.

        A text that is to be summarised says the most at its beginning. What stands before it
        (instruction, system prompt) and behind it stays, if that alone fits; otherwise the last
        tokens of the prompt are kept.
        """
        start, stop = self.body
        excess = len(self.prompt) - room
        if excess <= 0:
            return self.prompt
        if excess <= stop - start:
            return self.prompt[: stop - excess] + self.prompt[stop:]
        return self.prompt[excess:]


class PlainWriter:
    """Instruction, prompt and completion, each on a line of its own, and the end token."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> None:
        self.tokenizer = tokenizer
        self.before = f"{instruction}\n" if instruction else ""
        self.end = end_token_id(tokenizer)

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that end an answer."""
        return [self.end]

    def turn(self, messages: Messages, completion: str) -> Turn:
        """The last message and its completion, tokenised apart, as they are in generation."""
        prompt = self.before + messages[-1][1]
        asked = self.tokenizer(f"{prompt}\n", return_offsets_mapping=True, verbose=False)
        ids = without_end(asked["input_ids"], self.tokenizer)
        body = _span(asked["offset_mapping"][: len(ids)], len(self.before), len(prompt))
        answer = self.tokenizer(
            completion, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        words, sizes = spelled(completion, answer["offset_mapping"])
        # A decoder needs one token to start from, also where an empty prompt gives none.
        prompt_ids = ids or [self.end]
        return Turn(
            prompt=prompt_ids,
            body=body,
            completion=[*answer["input_ids"], self.end],
            words=[*words, 0],
            bytes=[*sizes, 0],
        )


class ChatWriter:
    """A conversation as the tokenizer's chat template writes it, with its default system prompt.

    An answer ends with the token by which the template ends a turn, e.g. ``<|im_end|>``; what the
    template may write after that, such as a line break, is never generated and not learned.

    Raises:
        UsageError: when what the template writes before an answer changes with the answer.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> None:
        self.tokenizer = tokenizer
        self.before = f"{instruction}\n" if instruction else ""
        added = tokenizer.added_tokens_decoder.items()
        self.special = {*tokenizer.all_special_ids, *(i for i, token in added if token.special)}
        _, reply = self._written([("user", "prompt")], _REPLY)
        if _REPLY not in reply:
            raise _unstable("it leaves the answer out")
        self.ending = reply.rpartition(_REPLY)[2]
        ids = tokenizer(self.ending, add_special_tokens=False)["input_ids"]
        self.end = next((i for i in ids if i in self.special), None)

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that end an answer: the template's end of a turn and the tokenizer's end token."""
        if self.end is not None and self.tokenizer.eos_token_id in (None, self.end):
            return [self.end]
        end = end_token_id(self.tokenizer)
        return [end] if self.end is None else [self.end, end]

    def turn(self, messages: Messages, completion: str) -> Turn:
        """The messages before an answer, and the answer.

        Raises:
            DataError: when the template refuses the messages.
            UsageError: when what it writes before this answer changes with the answer.
        """
        messages = self._with_instruction(messages)
        prompt, reply = self._written(messages, completion)
        if not reply.endswith(self.ending):
            raise _unstable(f"it does not end every answer with {self.ending!r}")
        content = len(reply) - len(self.ending)
        asked = self._tokens(prompt)
        ids, offsets = self._reply_tokens(prompt, reply, asked["input_ids"])
        kept = sum(start < content for start, _ in offsets)
        while self.end is not None and ids[kept] != self.end:
            kept += 1  # text that the template puts before the token that ends the turn
        words, sizes = spelled(reply[:content], offsets[:kept])
        return Turn(
            prompt=asked["input_ids"],
            body=_span(asked["offset_mapping"], *self._user_text(prompt, messages)),
            completion=[*ids[:kept], self.stop_ids[0]],
            words=[*words, 0],
            bytes=[*sizes, 0],
        )

    def _with_instruction(self, messages: Messages) -> Messages:
        """The messages with the instruction before the user's first."""
        first = next((i for i, (role, _) in enumerate(messages) if role == "user"), None)
        return [
            (role, self.before + content if i == first else content)
            for i, (role, content) in enumerate(messages)
        ]

    def _written(self, messages: Messages, completion: str) -> tuple[str, str]:
        """The text up to where an answer begins, and the rest of it with the answer."""
        asked = [{"role": role, "content": content} for role, content in messages]
        answered = [*asked, {"role": "assistant", "content": completion}]
        try:
            prompt = self.tokenizer.apply_chat_template(
                asked, tokenize=False, add_generation_prompt=True
            )
            full = self.tokenizer.apply_chat_template(answered, tokenize=False)
        except TemplateError as error:
            raise DataError(
                f"the chat template refuses a conversation: {error}",
                where=f"messages by {', '.join(role for role, _ in messages)}, then assistant",
                fix="correct these messages, or set task.chat: false",
            ) from error
        if not full.startswith(prompt):
            raise _unstable("it writes a prompt without its answer in another way than with it")
        return prompt, full[len(prompt) :]

    def _tokens(self, text: str) -> Any:
        return self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )

    def _reply_tokens(
        self, prompt: str, reply: str, prompt_ids: list[int]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Ids and offsets of the answer, as tokens of the whole conversation.

        Where the prompt's last character and the answer's first would be one token (two line
        breaks), the answer is tokenised by itself: that is what follows the prompt in generation.
        """
        full = self._tokens(prompt + reply)
        count = len(prompt_ids)
        if full["input_ids"][:count] != prompt_ids:
            alone = self._tokens(reply)
            return alone["input_ids"], alone["offset_mapping"]
        offsets = full["offset_mapping"][count:]
        return full["input_ids"][count:], [(a - len(prompt), b - len(prompt)) for a, b in offsets]

    def _user_text(self, prompt: str, messages: Messages) -> tuple[int, int]:
        """First character of what the user wrote, and the one after the last message's last."""
        first, end = None, 0
        for role, content in messages:
            at = prompt.find(content.strip(), end)  # many templates strip
            if at < 0:
                return 0, 0
            end = at + len(content.strip())
            if first is None and role != "system":
                first = at + (len(self.before) if role == "user" else 0)
        return first or 0, end


def _span(offsets: Sequence[tuple[int, int]], start: int, stop: int) -> tuple[int, int]:
    """The tokens that cover some characters: the first, and the one after the last."""
    first = sum(end <= start for _, end in offsets)
    return first, max(first, sum(begin < stop for begin, _ in offsets))


def _unstable(why: str) -> UsageError:
    return UsageError(
        "the tokenizer's chat template cannot be used for training",
        where="task.chat",
        why=f"{why}, so a prompt in training is not the prompt that answers are generated for",
        fix="set chat: false, or take a model whose template writes each message on its own",
    )
