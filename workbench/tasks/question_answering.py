"""Extractive question answering: the span of a text that answers a question."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from workbench.data.batches import Batch, tensor_on
from workbench.data.encode import Columns, Encoded, Encoder
from workbench.data.examples import Examples
from workbench.errors import UsageError
from workbench.recipe.tasks import QuestionAnswering
from workbench.tasks.answer_spans import (
    NO_CONTEXT,
    NOWHERE,
    Span,
    answer_tokens,
    best_pair,
    context_places,
    windows,
)
from workbench.tasks.base import Predicted, Task, Values
from workbench.tasks.usage import About, prompt_note, text_only
from workbench.tasks.word_spacing import after_question


class QuestionAnsweringTask(Task[QuestionAnswering]):
    """How well an answer starts and ends at each token; the values kept are (2, tokens) logits."""

    auto_class = "AutoModelForQuestionAnswering"
    plain_output = "spans"
    # PEFT (0.21) takes token_type_ids here and never hands them to the model, so full
    # fine-tuning would see which text a token is of and no adapter would.
    model_inputs = ("input_ids", "attention_mask")

    @property
    def prompt_text(self) -> str:
        return "Find the answer to the question in the text."

    def head_config(self) -> dict[str, Any]:
        # A base that was a classifier of three classes would get a head with three outputs.
        return {"num_labels": 2}

    # --- examples to batches ----------------------------------------------------------------

    def encoder(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> Encoder:
        """Question and context in windows of ``max_length`` tokens that overlap by the stride.

        A question longer than a quarter of the window is cut and counted; contexts are never
        cut. Features have ``start`` and ``end``, the tokens of the answer, and in
        ``char_starts`` and ``char_ends`` the place of each token in the context.

        There are no token types: PEFT (0.21) takes them for this task and does not pass them on,
        so full fine-tuning would see what no adapter sees.

        Raises:
            UsageError: when the stride leaves no room for new tokens.
        """
        separator = after_question(tokenizer)
        extra = tokenizer.num_special_tokens_to_add(pair=True) + _count(tokenizer, separator)
        longest_question = max_length // 4
        _check_stride(self.spec.stride, max_length, longest_question, extra)

        def features(columns: Columns) -> Columns:
            questions, cut = _shortened(columns["question"], tokenizer, longest_question)
            encoded = tokenizer(
                [question + separator for question in questions],
                columns["context"],
                return_attention_mask=False,
                verbose=False,  # about contexts longer than the model takes
            )
            owners, input_ids, places = [], [], []
            for owner, encoding in enumerate(encoded.encodings):
                ids, kinds, offsets = encoding.ids, encoding.sequence_ids, encoding.offsets
                for tokens in windows(kinds, max_length, self.spec.stride):
                    owners.append(owner)
                    input_ids.append([ids[i] for i in tokens])
                    own = [kinds[i] for i in tokens], [offsets[i] for i in tokens]
                    places.append(context_places(*own))
            spans = [
                answer_tokens(columns["starts"][owner], columns["ends"][owner], *place)
                for owner, place in zip(owners, places, strict=True)
            ]
            return {
                "input_ids": input_ids,
                "char_starts": [starts for starts, _ in places],
                "char_ends": [ends for _, ends in places],
                "start": [start for start, _ in spans],
                "end": [end for _, end in spans],
                "example": [columns["example"][owner] for owner in owners],
                "truncated": [cut[owner] for owner in owners],
            }

        key = f"question-answering windows {max_length} {self.spec.stride} {separator!r}"
        return Encoder(_columns, features, key)

    def label_text(self, label: Sequence[tuple[int, str]]) -> str:
        return " | ".join(dict.fromkeys(text for _, text in label))

    def longest_example(self, word: str, words: int, *, paired: bool) -> Examples:
        examples = super().longest_example(word, words, paired=True)
        return replace(examples, labels=(((0, word),),))

    # --- model to losses and values ---------------------------------------------------------

    def outputs(self, model: nn.Module, batch: Batch, virtual_tokens: int) -> Tensor:
        """Start and end logits in fp32, (batch, 2, seq), of the text's own positions.

        The model is given no answers: PEFT (0.21) neither moves them behind a soft prompt nor
        takes the prompt's positions out of the logits, and says nothing.
        """
        found = model(**batch.inputs)
        both = torch.stack([found.start_logits, found.end_logits], dim=1)
        return both[:, :, virtual_tokens:].float()

    def losses(self, outputs: Tensor, batch: Batch) -> Tensor:
        """Mean of the cross entropies of start and end, over the real tokens of each row."""
        padding = batch.inputs["attention_mask"] == 0
        lowest = torch.finfo(outputs.dtype).min
        logits = outputs.masked_fill(padding.unsqueeze(1), lowest)
        spans = tensor_on([[row["start"], row["end"]] for row in batch.rows], outputs.device)
        each = F.cross_entropy(logits.transpose(1, 2), spans, reduction="none")  # (batch, 2)
        return each.mean(dim=1)

    def values(self, outputs: Tensor, batch: Batch) -> list[Values]:
        rows = outputs.detach().cpu().numpy()
        return [v[:, : len(row["input_ids"])] for v, row in zip(rows, batch.rows, strict=True)]

    # --- answers ----------------------------------------------------------------------------

    def answers(self, encoded: Encoded, predicted: Predicted) -> list[str]:
        """The answer to each question as it stands in the context; "" where there is none."""
        return [span.text for span in self.spans(encoded, predicted)]

    def spans(self, encoded: Encoded, predicted: Predicted) -> list[Span]:
        """The best span of all windows of each example, by the sum of its two logits.

        With ``task.allow_no_answer`` there is no answer where even the window least sure of that
        finds it likelier than the best span (threshold 0, as transformers' run_qa.py for SQuAD
        2.0).
        """
        best: dict[int, Span] = {}
        nowhere: dict[int, Span] = {}
        windows = zip(
            encoded.owners.tolist(),
            predicted.values,
            encoded.column("char_starts"),
            encoded.column("char_ends"),
            strict=True,
        )
        for window, (owner, logits, char_starts, char_ends) in enumerate(windows):
            context = encoded.examples.texts[owner]
            null = Span.of("", logits, (NOWHERE, NOWHERE), window)
            if owner not in nowhere or null.total < nowhere[owner].total:
                nowhere[owner] = null
            tokens = np.flatnonzero(np.array(char_starts) != NO_CONTEXT)
            if not len(tokens):
                continue
            start, end = best_pair(logits[:, tokens], self.spec.max_answer_tokens) + tokens[0]
            place = (int(char_starts[start]), int(char_ends[end]))
            text = context[place[0] : place[1]].strip()
            span = Span.of(text, logits, (int(start), int(end)), window, place)
            if owner not in best or span.total > best[owner].total:
                best[owner] = span
        return [
            nowhere[i]
            if i not in best or (self.spec.allow_no_answer and nowhere[i].total > best[i].total)
            else best[i]
            for i in range(len(encoded.examples))
        ]

    def references(self, encoded: Encoded) -> list[list[str]]:
        """The right answers to each question; none where it cannot be answered."""
        return [[text for _, text in answers] for answers in encoded.examples.labels]

    def scores(self, encoded: Encoded, predicted: Predicted) -> list[float | None]:
        return [span.probability for span in self.spans(encoded, predicted)]

    def reading(self, tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
        return {"after_question": after_question(tokenizer)}

    @staticmethod
    def usage(about: About, *, pairs: bool) -> Iterator[str]:
        behind, end = text_only(about), about["reading"]["after_question"]
        longest = about["task"]["max_answer_tokens"]
        cut = f'truncation="only_second", max_length={about["max_length"]}'
        yield 'question, text = "a question", "a text that answers it"'
        yield f"# What goes beyond {about['max_length']} tokens would need a second window."
        yield f"asked = question + {end!r}" if end else "asked = question"
        yield f'inputs = tokenizer(asked, text, return_tensors="pt", {cut})'
        yield "output = model(**inputs)"
        yield from prompt_note(about)
        yield f"starts = output.start_logits[0{behind}].tolist()"
        yield f"ends = output.end_logits[0{behind}].tolist()"
        yield "places = [i for i, part in enumerate(inputs.sequence_ids()) if part == 1]"
        yield f"spans = [(i, j) for i in places for j in places if i <= j < i + {longest}]"
        yield "i, j = max(spans, key=lambda span: starts[span[0]] + ends[span[1]])"
        yield "answer = text[inputs.token_to_chars(i).start : inputs.token_to_chars(j).end].strip()"
        if about["task"]["allow_no_answer"]:
            yield "found = starts[i] + ends[j] >= starts[0] + ends[0]"
            yield 'print(answer if found else "no answer")'
        else:
            yield "print(answer)"

    def plain_request(self, encoded: Encoded, index: int) -> dict[str, Any]:
        return {"input_ids": encoded.rows([index])[0]["input_ids"]}

    def question(self, text: str, pair: str | None) -> Examples:
        """A context and, as its pair, a question about it.

        Raises:
            UsageError: without a question.
        """
        if not (pair or "").strip():
            raise UsageError(
                "there is no question about the text",
                why="question answering finds the answer to a question in a text",
                fix="give the question as the second text",
            )
        return super().question(text, pair)


# --- text to tokens -------------------------------------------------------------------------


def _questions(examples: Examples) -> tuple[str, ...]:
    assert examples.pairs is not None  # every source of this task has questions
    return examples.pairs


def _columns(examples: Examples) -> Columns:
    return {
        "context": list(examples.texts),
        "question": [question.strip() for question in _questions(examples)],
        "starts": [[start for start, _ in answers] for answers in examples.labels],
        "ends": [[start + len(text) for start, text in answers] for answers in examples.labels],
    }


def _count(tokenizer: PreTrainedTokenizerBase, text: str) -> int:
    return len(tokenizer(text, add_special_tokens=False)["input_ids"])


def _check_stride(stride: int, max_length: int, question: int, extra: int) -> None:
    room = max_length - question - extra
    if stride >= room:
        raise UsageError(
            f"windows of {max_length} tokens cannot share {stride} of them",
            where="task.stride",
            why=f"{question} may be the question's and {extra} separate it from the context, so "
            f"there is room for {max(room, 0)} of the context, and the next window would not get "
            "further",
            fix=f"set task.stride to {room // 2} or raise model.max_length"
            if room > 0
            else "raise model.max_length",
        )


def _shortened(
    questions: Sequence[str], tokenizer: PreTrainedTokenizerBase, longest: int
) -> tuple[list[str], list[bool]]:
    """Questions cut to a number of tokens, and which of them were."""
    encodings = tokenizer(list(questions), add_special_tokens=False).encodings
    cut = [len(encoding.ids) > longest for encoding in encodings]
    texts = [
        question[: encoding.offsets[longest][0]].rstrip() if too_long else question
        for question, encoding, too_long in zip(questions, encodings, cut, strict=True)
    ]
    return texts, cut
