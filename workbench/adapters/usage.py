"""The lines of a model card that ask the model, for each task.

They do what the workbench does, by transformers and PEFT alone: a copy of the card answers as
`load_adapter` answers, one text at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from workbench.recipe.catalogue import MULTI, REGRESSION, SINGLE

About = dict[str, Any]
"""What ``workbench.json`` of an export says."""


def usage(about: About, *, pairs: bool) -> str:
    """Python that goes on from ``tokenizer`` and ``model``, and prints an answer.

    Args:
        pairs: whether a text for classification comes with a second one.
    """
    name = about["task"]["name"]
    lines = _classification(about, pairs) if name == "text-classification" else _LINES[name](about)
    return "\n".join(lines)


def _classification(about: About, pairs: bool) -> Iterator[str]:
    texts = '"a text", "its second text"' if pairs else '"a text"'
    yield f'inputs = tokenizer({texts}, return_tensors="pt", {_cut(about)})'
    yield "logits = model(**inputs).logits[0]"
    yield {
        SINGLE: "print(model.config.id2label[int(logits.argmax())])",
        MULTI: "print([model.config.id2label[i] for i, score in enumerate(logits) if score > 0])",
        REGRESSION: "print(float(logits[0]))",
    }[about["task"]["problem_type"]]


def _tags(about: About) -> Iterator[str]:
    space = about["reading"]["before_word"]
    given = f"[{space!r} + word for word in words]" if space else "words"
    yield 'words = "a text as words".split()'
    yield "inputs = tokenizer("
    yield f'    {given}, is_split_into_words=True, return_tensors="pt", {_cut(about)}'
    yield ")"
    yield from _prompt_note(about)
    yield f"tags = model(**inputs).logits[0{_behind(about)}].argmax(-1)"
    yield "# A word's tag is that of its first piece."
    yield "first = {word: i for i, word in reversed(list(enumerate(inputs.word_ids())))}"
    yield "names = model.config.id2label"
    yield "print(*(names[int(tags[first[i]])] for i in range(len(words)) if i in first))"


def _answer(about: About) -> Iterator[str]:
    behind, end = _behind(about), about["reading"]["after_question"]
    longest = about["task"]["max_answer_tokens"]
    cut = f'truncation="only_second", max_length={about["max_length"]}'
    yield 'question, text = "a question", "a text that answers it"'
    yield f"# What goes beyond {about['max_length']} tokens would need a second window."
    yield f"asked = question + {end!r}" if end else "asked = question"
    yield f'inputs = tokenizer(asked, text, return_tensors="pt", {cut})'
    yield "output = model(**inputs)"
    yield from _prompt_note(about)
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


def _masked(about: About) -> Iterator[str]:
    before = f"{about['virtual_tokens']} + " if about["virtual_tokens"] else ""
    yield 'text = f"a {tokenizer.mask_token} of words"'
    yield f'inputs = tokenizer(text, return_tensors="pt", {_cut(about)})'
    yield 'place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)'
    yield from _prompt_note(about)
    yield f"print(tokenizer.decode(model(**inputs).logits[0, {before}place].argmax()))"


def _continuation(about: About) -> Iterator[str]:
    yield 'inputs = tokenizer("a text to go on with", return_tensors="pt")'
    yield from _without_end(about)
    yield "new = model.generate(**inputs, max_new_tokens=8, do_sample=False)"
    yield "print(tokenizer.decode(new[0], skip_special_tokens=True))"


def _completion(about: About) -> Iterator[str]:
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
        yield from _without_end(about)
    decoding = ", ".join(f"{k}={v!r}" for k, v in _decoding(about["task"]["decoding"]).items())
    yield f"new = model.generate(**inputs, eos_token_id={reading['stop_ids']}, {decoding})"
    yield 'answer = new[0, inputs["input_ids"].shape[1] :]'
    yield "print(tokenizer.decode(answer, skip_special_tokens=True).strip())"


_LINES: dict[str, Callable[[About], Iterator[str]]] = {
    "token-classification": _tags,
    "question-answering": _answer,
    "masked-lm": _masked,
    "causal-lm": _continuation,
    "instruction": _completion,
}


def _cut(about: About) -> str:
    return f"truncation=True, max_length={about['max_length']}"


def _behind(about: About) -> str:
    """The index of what comes behind a soft prompt, after the row's."""
    return f", {about['virtual_tokens']}:" if about["virtual_tokens"] else ""


def _prompt_note(about: About) -> Iterator[str]:
    if about["virtual_tokens"]:
        yield f"# The first {about['virtual_tokens']} positions are the soft prompt's."


def _without_end(about: About) -> Iterator[str]:
    if about["reading"]["appends_end"]:
        yield "# The tokenizer ends every text; this one is to go on."
        yield "inputs = {name: values[:, :-1] for name, values in inputs.items()}"


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
