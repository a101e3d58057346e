"""A conversation as token ids, the way the tokenizer's chat template writes it."""

from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from workbench.errors import DataError, UsageError
from workbench.tasks.token_likelihood import end_token_id, spelled
from workbench.tasks.turns import Messages, Turn, span_of, turns_to_learn

_REPLY = "completion"
"""Stands in for an answer while a template is looked at."""


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

    def turn(self, messages: Messages, completion: str, *, every: bool = False) -> Turn:
        """The messages before an answer, and the answer.

        Args:
            every: whether the assistant's earlier answers are learned too.

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
        earlier = [False] * len(asked["input_ids"])
        for place in turns_to_learn(messages) if every else ():
            for at in self._earlier(prompt, asked, messages, place):
                earlier[at] = True
        kept = sum(start < content for start, _ in offsets)
        while self.end is not None and ids[kept] != self.end:
            kept += 1  # text that the template puts before the token that ends the turn
        words, sizes = spelled(reply[:content], offsets[:kept])
        return Turn(
            prompt=asked["input_ids"],
            body=span_of(asked["offset_mapping"], *self._user_text(prompt, messages)),
            completion=[*ids[:kept], self.stop_ids[0]],
            words=[*words, 0],
            bytes=[*sizes, 0],
            earlier=earlier,
        )

    def _earlier(self, prompt: str, asked: Any, messages: Messages, place: int) -> list[int]:
        """The tokens of an earlier answer: its text, and what ends its turn."""
        before, reply = self._written(messages[:place], messages[place][1])
        if not (prompt.startswith(before + reply) and reply.endswith(self.ending)):
            raise UsageError(
                "the tokenizer's chat template does not let every answer be learned",
                where="task.learn",
                why="it writes an earlier answer of a conversation in another way than the last "
                "one, so what would be learned is not what is generated",
                fix="set learn: last",
            )
        start, stop = len(before), len(before + reply) - len(self.ending)
        begins = [begin for begin, _ in asked["offset_mapping"]]
        found = [at for at, begin in enumerate(begins) if start <= begin < stop]
        if self.end is None:
            return found
        after = range(sum(begin < stop for begin in begins), len(begins))
        end = next(at for at in after if asked["input_ids"][at] == self.end)
        return [*found, *range(after.start, end + 1)]

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


def _unstable(why: str) -> UsageError:
    return UsageError(
        "the tokenizer's chat template cannot be used for training",
        where="task.chat",
        why=f"{why}, so a prompt in training is not the prompt that answers are generated for",
        fix="set chat: false, or take a model whose template writes each message on its own",
    )
