"""Supervised fine-tuning: a prompt and the completion that is to be learned."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED
from workbench.data.encode import Columns, Encoded, Encoder, Row
from workbench.data.examples import ROLES, Data, Examples
from workbench.data.rows import Column
from workbench.recipe.tasks import Instruction
from workbench.tasks.base import EVALUATION_SEED, Predicted, WritingTask
from workbench.tasks.chat import ChatWriter
from workbench.tasks.special_tokens import special_tokens, without_ends
from workbench.tasks.token_likelihood import TokenLikelihoodTask, mean_log_probs
from workbench.tasks.turns import PlainWriter, Turn
from workbench.tasks.usage import About, appends_end, end_removed


class InstructionTask(TokenLikelihoodTask[Instruction], WritingTask[Instruction]):
    """The completion is learned, its end token included; the prompt is only read.

    A pair that is too long loses the end of the user's text, instruction and system prompt kept
    where they fit; a completion that alone is too long loses its end. Answers are generated for
    the prompts as `prompts` gives them, which do not depend on the completions.
    """

    auto_class = "AutoModelForCausalLM"
    lead = 1

    @property
    def prompt_text(self) -> str:
        return self.spec.instruction or "Answer the request."

    # --- examples to features ---------------------------------------------------------------

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Prompt and completion, ``prompt`` for generation, in at most ``max_length`` tokens.

        Raises:
            UsageError: when the chat template cannot be used for training, or nothing ends a text.
        """
        writer, every = self._writer(tokenizer), self.spec.learn == "all"

        def features(columns: Columns) -> Columns:
            asked = zip(columns["messages"], columns["completion"], strict=True)
            turns = (writer.turn(*each, every=every) for each in asked)
            rows = [_feature(turn, max_length, every) for turn in turns]
            names = rows[0].keys()
            return {name: [row[name] for row in rows] for name in names} | {
                name: columns[name] for name in ("example", "reference")
            }

        chat = "chat" if isinstance(writer, ChatWriter) else "plain"
        way = f"{chat} {self.spec.instruction!r} {writer.stop_ids}{' all' if every else ''}"
        ends, special = _written_ends(writer), special_tokens(tokenizer)
        return Encoder(
            lambda examples: _columns(examples, ends, special),
            features,
            f"instruction {max_length} {way}",
        )

    def notes(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> Iterator[str]:
        """Also of end tokens in completions, and how chats are written without a template.

        Raises:
            DataError: when a completion is nothing but end tokens; rows are named.
        """
        yield from super().notes(data, tokenizer)
        ends = _written_ends(self._writer(tokenizer))
        ids = [row_id for role in ROLES for row_id in getattr(data, role).ids]
        answers, kept = _answers(data, ends)
        Column(where="data", ids=ids, values=answers).refuse(
            (row for row, answer in enumerate(kept) if not answer.strip()),
            "a completion of end tokens alone",
            why="there is nothing to learn, and its score means nothing",
            fix="remove these rows",
        )
        if ended := _count_unlike(answers, kept):
            yield (
                f"{ended:,} completions end in an end token ({', '.join(ends)}), which is left "
                "out: one is learned behind every completion anyway."
            )
        if stopped := sum(any(end in answer for end in ends) for answer in kept):
            yield (
                f"{stopped:,} completions have an end token ({', '.join(ends)}) before their end: "
                "generation stops there, so they cannot be an exact match."
            )
        if chats := self._plain_chats(data, tokenizer):
            yield (
                f"{chats:,} chats are written without a chat template: each message on a line, "
                "each answer of the assistant with the end token behind it (docs/tasks.md)."
            )

    def read_otherwise(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> str:
        chats = self._plain_chats(data, tokenizer)
        ended = _count_unlike(*_answers(data, _written_ends(self._writer(tokenizer))))
        return f"{' all turns' if chats else ''}{' ends apart' if ended else ''}"

    def _plain_chats(self, data: Data, tokenizer: PreTrainedTokenizerBase) -> int:
        """Chats of several messages that no template writes."""
        if isinstance(self._writer(tokenizer), ChatWriter):
            return 0
        return sum(len(c) > 1 for role in ROLES for c in getattr(data, role).parts or ())

    def _writer(self, tokenizer: PreTrainedTokenizerBase) -> ChatWriter | PlainWriter:
        chat = self.spec.chat and tokenizer.chat_template is not None
        return (ChatWriter if chat else PlainWriter)(tokenizer, self.spec.instruction)

    def rows(self, encoded: Encoded, indices: Sequence[int], seed: Sequence[int]) -> list[Row]:
        """The features with the labels of the last answer; in training those of all, if asked."""
        rows = encoded.rows(list(indices))
        if self.spec.learn == "last" or tuple(seed) == EVALUATION_SEED:
            return rows
        return [{**row, "labels": row["learned"]} for row in rows]

    def longest_example(self, word: str, words: int, *, paired: bool) -> Examples:
        examples = super().longest_example(word, words, paired=False)
        return replace(examples, texts=(word,), labels=examples.texts)

    # --- generation -------------------------------------------------------------------------

    def prompts(self, encoded: Encoded) -> list[list[int]]:
        """Token ids to generate the answer to each example from."""
        return encoded.column("prompt") if len(encoded) else []

    def stop_ids(self, tokenizer: PreTrainedTokenizerBase) -> list[int]:
        """Tokens that end an answer: the end token and, in a chat, what ends a turn."""
        return self._writer(tokenizer).stop_ids

    def decode(self, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
        """A generated answer as text, without special tokens and outer white space."""
        text: str = tokenizer.decode(list(ids), skip_special_tokens=True)
        return text.strip()

    # --- answers ----------------------------------------------------------------------------

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[str]:
        """None: the answers are the generated texts, as `decode` gives them."""
        return []

    def references(self, encoded: Encoded) -> list[str]:
        """The completions as `decode` would give them."""
        return encoded.column("reference") if len(encoded) else []

    def table(
        self, encoded: Encoded, predicted: Predicted, answers: Sequence[Any]
    ) -> dict[str, list[Any]]:
        return super().table(encoded, predicted, answers) | {"label": self.references(encoded)}

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        """The mean log-probability of the right completion's tokens."""
        return mean_log_probs(encoded, predicted)

    def reading(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        writer = self._writer(tokenizer)
        return {
            "appends_end": appends_end(tokenizer),
            "chat": isinstance(writer, ChatWriter),
            "stop_ids": writer.stop_ids,
        }

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        reading, instruction = about["reading"], about["task"]["instruction"]
        before = repr(f"{instruction}\n") + " + " if instruction else ""
        yield 'prompt = "what to do"'
        if reading["chat"]:
            yield f'turns = [{{"role": "user", "content": {before}prompt}}]'
            yield "text = tokenizer.apply_chat_template("
            yield "    turns, add_generation_prompt=True, tokenize=False"
            yield ")"
            yield 'inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")'
        else:
            yield f'inputs = tokenizer({before}prompt + "\\n", return_tensors="pt")'
            yield from end_removed(about)
            yield "# A conversation: each message on a line of its own, but behind an answer of the"
            yield "# assistant the end token instead of the line break."
        decoding = ", ".join(f"{k}={v!r}" for k, v in _decoding(about["task"]["decoding"]).items())
        yield f"new = model.generate(**inputs, eos_token_id={reading['stop_ids']}, {decoding})"
        yield 'answer = new[0, inputs["input_ids"].shape[1] :]'
        yield "print(tokenizer.decode(answer, skip_special_tokens=True).strip())"


def _decoding(decoding: dict[str, Any]) -> dict[str, Any]:
    """Arguments of ``generate`` for the recipe's section on decoding."""
    samples, beams = decoding["temperature"] > 0, decoding["num_beams"]
    arguments = {"max_new_tokens": decoding["max_new_tokens"], "do_sample": samples}
    if samples:
        arguments |= {"temperature": decoding["temperature"], "top_p": decoding["top_p"]}
    if beams > 1:
        arguments |= {"num_beams": beams, "length_penalty": decoding["length_penalty"]}
    if decoding["no_repeat_ngram_size"]:
        arguments["no_repeat_ngram_size"] = decoding["no_repeat_ngram_size"]
    return arguments


def _written_ends(writer: ChatWriter | PlainWriter) -> list[str]:
    ends: list[str] = writer.tokenizer.convert_ids_to_tokens(writer.stop_ids)
    return ends


def _answers(data: Data, ends: Sequence[str]) -> tuple[list[str], list[str]]:
    """The completions of all splits, and what they are without the end tokens behind them."""
    answers = [answer for role in ROLES for answer in getattr(data, role).labels]
    return answers, [without_ends(answer, ends) for answer in answers]


def _count_unlike(first: Sequence[str], second: Sequence[str]) -> int:
    return sum(a != b for a, b in zip(first, second, strict=True))


def _columns(examples: Examples, ends: Sequence[str], special: Sequence[str]) -> Columns:
    """Messages and completions without the end tokens that the writer puts behind them."""
    messages: list[list[list[str]]] = [[["user", text]] for text in examples.texts]
    if examples.parts is not None:
        messages = [
            [[who, without_ends(said, ends) if who == "assistant" else said] for who, said in parts]
            for parts in examples.parts
        ]
    completions = [without_ends(answer, ends) for answer in examples.labels]
    return {
        "messages": messages,
        "completion": completions,
        "reference": [_without(answer, special) for answer in completions],
    }


def _without(text: str, tokens: Sequence[str]) -> str:
    for token in tokens:
        text = text.replace(token, "")
    return text.strip()


def _feature(turn: Turn, max_length: int, every: bool) -> dict[str, Any]:
    kept = min(len(turn.completion), max_length - 1)  # one token at least of the prompt
    places = turn.kept(max_length - kept)
    prompt = [turn.prompt[i] for i in places]
    completion = turn.completion[:kept]
    earlier = [turn.prompt[i] if turn.earlier[i] else IGNORED for i in places]
    learned = {"learned": [*earlier, *completion]} if every else {}
    return learned | {
        "input_ids": [*prompt, *completion],
        "labels": [*[IGNORED] * len(prompt), *completion],
        "prompt": [turn.prompt[i] for i in turn.kept(max_length)],
        "words": sum(turn.words[:kept]),
        "bytes": sum(turn.bytes[:kept]),
        "truncated": len(prompt) < len(turn.prompt) or kept < len(turn.completion),
    }
