"""Supervised fine-tuning: a prompt and the completion that is to be learned."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from transformers import PreTrainedTokenizerBase

from workbench.data.batches import IGNORED
from workbench.data.encode import Columns, Encoded, Encoder
from workbench.data.examples import Examples
from workbench.recipe.tasks import Instruction
from workbench.tasks.base import Predicted, WritingTask
from workbench.tasks.chat import ChatWriter, PlainWriter, Turn
from workbench.tasks.token_likelihood import TokenLikelihoodTask, mean_log_probs
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
        writer = self._writer(tokenizer)

        def features(columns: Columns) -> Columns:
            turns = map(writer.turn, columns["messages"], columns["completion"])
            rows = [_feature(turn, max_length) for turn in turns]
            names = rows[0].keys()
            return {name: [row[name] for row in rows] for name in names} | {
                "example": columns["example"]
            }

        chat = isinstance(writer, ChatWriter)
        way = f"{'chat' if chat else 'plain'} {self.spec.instruction!r} {writer.stop_ids}"
        return Encoder(
            lambda examples: _columns(examples, chat), features, f"instruction {max_length} {way}"
        )

    def _writer(self, tokenizer: PreTrainedTokenizerBase) -> ChatWriter | PlainWriter:
        chat = self.spec.chat and tokenizer.chat_template is not None
        return (ChatWriter if chat else PlainWriter)(tokenizer, self.spec.instruction)

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
        return [completion.strip() for completion in encoded.examples.labels]

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


def _columns(examples: Examples, chat: bool) -> Columns:
    messages: list[list[list[str]]] = [[["user", text]] for text in examples.texts]
    if chat and examples.parts is not None:
        messages = [[list(message) for message in parts] for parts in examples.parts]
    return {"messages": messages, "completion": list(examples.labels)}


def _feature(turn: Turn, max_length: int) -> dict[str, Any]:
    kept = min(len(turn.completion), max_length - 1)  # one token at least of the prompt
    prompt = turn.shortened(max_length - kept)
    completion = turn.completion[:kept]
    return {
        "input_ids": [*prompt, *completion],
        "labels": [*[IGNORED] * len(prompt), *completion],
        "prompt": turn.shortened(max_length),
        "words": sum(turn.words[:kept]),
        "bytes": sum(turn.bytes[:kept]),
        "truncated": len(prompt) < len(turn.prompt) or kept < len(turn.completion),
    }
