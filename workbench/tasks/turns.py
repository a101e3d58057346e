"""A prompt and its completion as token ids, and how they are written without a chat template."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from workbench.tasks.token_likelihood import end_token_id, spelled, without_end

Messages = Sequence[Sequence[str]]
"""(role, content) of each message."""


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
    earlier: list[bool]
    """Which tokens of the prompt are learned too: those of the assistant's earlier answers."""

    def kept(self, limit: int) -> list[int]:
        """Positions of the prompt in at most ``limit`` tokens: the user's text loses its end.

        A text that is to be summarised says the most at its beginning. What stands before it
        (instruction, system prompt) and behind it stays, if that alone fits; otherwise the last
        tokens of the prompt are kept.
        """
        (start, stop), positions = self.body, list(range(len(self.prompt)))
        excess = len(self.prompt) - limit
        if excess <= 0:
            return positions
        if excess <= stop - start:
            return positions[: stop - excess] + positions[stop:]
        return positions[excess:]


class PlainWriter:
    """Instruction, prompt and completion, each on a line of its own, and the end token.

    A conversation is written the same way, one exchange behind the other: every message on a line
    of its own, every answer of the assistant with the end token behind it instead of a line break.
    The instruction stands before the first message of the user.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, instruction: str | None) -> None:
        self.tokenizer = tokenizer
        self.before = f"{instruction}\n" if instruction else ""
        self.end = end_token_id(tokenizer)

    @property
    def stop_ids(self) -> list[int]:
        """Tokens that end an answer."""
        return [self.end]

    def turn(self, messages: Messages, completion: str, *, every: bool = False) -> Turn:
        """The messages and the completion, each tokenised apart, as they are in generation.

        Args:
            every: whether the assistant's earlier answers are learned too.
        """
        prompt: list[int] = []
        learned: list[bool] = []
        body: list[int] = []
        wanted = set(turns_to_learn(messages)) if every else set()
        for place, (text, start, stop) in enumerate(self._lines(messages)):
            answers = messages[place][0] == "assistant"
            ids, (first, last) = self._tokens(text, (start, stop), alone=not place)
            ids += [self.end] if answers else []
            if messages[place][0] != "system":
                body += [len(prompt) + first, len(prompt) + last]
            learned += [place in wanted] * len(ids)
            prompt += ids
        answer = self.tokenizer(
            completion, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        words, sizes = spelled(completion, answer["offset_mapping"])
        return Turn(
            # A decoder needs one token to start from, also where an empty prompt gives none.
            prompt=prompt or [self.end],
            body=(body[0], body[-1]),
            completion=[*answer["input_ids"], self.end],
            words=[*words, 0],
            bytes=[*sizes, 0],
            earlier=learned or [False],
        )

    def _lines(self, messages: Messages) -> Iterator[tuple[str, int, int]]:
        """The text of each message with its line break, and where the message itself stands."""
        before = self.before
        for role, content in messages:
            own = before if role == "user" else ""
            before = before.removeprefix(own)
            behind = "" if role == "assistant" else "\n"
            yield f"{own}{content}{behind}", len(own), len(own) + len(content)

    def _tokens(
        self, text: str, part: tuple[int, int], *, alone: bool
    ) -> tuple[list[int], tuple[int, int]]:
        """Ids of a text, which may be the first, and the tokens that cover a part of it."""
        found = self.tokenizer(
            text, add_special_tokens=alone, return_offsets_mapping=True, verbose=False
        )
        ids = without_end(found["input_ids"], self.tokenizer) if alone else found["input_ids"]
        return ids, span_of(found["offset_mapping"][: len(ids)], *part)


def turns_to_learn(messages: Messages) -> list[int]:
    """Places of the assistant's messages that answer something and are not empty."""
    asked, found = False, []
    for place, (role, content) in enumerate(messages):
        asked = asked or role == "user"
        if role == "assistant" and asked and content.strip():
            found.append(place)
    return found


def span_of(offsets: Sequence[tuple[int, int]], start: int, stop: int) -> tuple[int, int]:
    """The tokens that cover some characters: the first, and the one after the last."""
    first = sum(end <= start for _, end in offsets)
    return first, max(first, sum(begin < stop for begin, _ in offsets))
