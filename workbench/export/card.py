"""The model card of an export, written from the run's record."""

from __future__ import annotations

import json
from typing import Any

_LOADING = {
    "full": """from transformers import {auto}, AutoTokenizer

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto}.from_pretrained(folder).eval()""",
    "delta": """import os
from safetensors.torch import load_file
from transformers import {auto}, AutoConfig, AutoTokenizer

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto}.from_pretrained({base}, config=AutoConfig.from_pretrained(folder))
state = load_file(os.path.join(folder, "trained_weights.safetensors"))
model.load_state_dict(state, strict=False)
model.eval()""",
    "peft": """from peft import PeftModel
from transformers import {auto}, AutoConfig, AutoTokenizer

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto}.from_pretrained({base}, config=AutoConfig.from_pretrained(folder))
model = PeftModel.from_pretrained(model, folder).eval()""",
}


_USAGE = {
    "text-classification": """cut = {{"truncation": True, "max_length": {length}}}
inputs = tokenizer("a text", return_tensors="pt", **cut)
print(model.config.id2label[int(model(**inputs).logits.argmax())])""",
    "token-classification": """words = "a text as words".split()
inputs = tokenizer(words, is_split_into_words=True, return_tensors="pt")
logits = model(**inputs).logits[0, {virtual}:]  # the first {virtual} belong to the soft prompt
first = [inputs.word_ids().index(i) for i in range(len(words))]  # the first piece of each word
print([model.config.id2label[int(logits[i].argmax())] for i in first])""",
    "question-answering": """question, text = "a question", "a text that answers it"
inputs = tokenizer(question, text, return_tensors="pt")
output = model(**inputs)  # the first {virtual} positions belong to the soft prompt
start = int(output.start_logits[0, {virtual}:].argmax())
end = int(output.end_logits[0, {virtual}:].argmax())
print(tokenizer.decode(inputs["input_ids"][0, start : end + 1]))""",
    "masked-lm": """inputs = tokenizer(f"a {{tokenizer.mask_token}} of words", return_tensors="pt")
place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
print(tokenizer.decode(model(**inputs).logits[0, {virtual} + place].argmax()))""",
    "causal-lm": """inputs = tokenizer("a text to go on with", return_tensors="pt")
new = model.generate(**inputs, max_new_tokens=8, do_sample=False)
print(tokenizer.decode(new[0], skip_special_tokens=True))""",
    "instruction": """prompt = "what to do"
if tokenizer.chat_template:
    turn = [{{"role": "user", "content": prompt}}]
    prompt = tokenizer.apply_chat_template(turn, add_generation_prompt=True, tokenize=False)
inputs = tokenizer(prompt, add_special_tokens=not tokenizer.chat_template, return_tensors="pt")
new = model.generate(**inputs, max_new_tokens=8, do_sample=False)
print(tokenizer.decode(new[0], skip_special_tokens=True))""",
}


_PAGE = """---
base_model: {base}
library_name: {library}
pipeline_tag: {task}
tags: [peft-workbench, {method}]
---

# {title}

{description}

| test metric ({test_size} examples, seed {seed}) | value |
| --- | --- |
{scores}

For comparison, on the same split:

| reference | scores |
| --- | --- |
{references}

Trained parameters: {trainable:,} of {total:,} ({head:,} of them in the task head). Trained on
{train_size} examples, selected on {validation_size}; texts are cut to {max_length} tokens.

## Load it

```python
{loading}

{usage}
```

It was loaded this way in a fresh process before this folder was written, and asked {checked} test
examples: its outputs differ from the run's own by at most {difference:.1e}.

## How it was made

Device: {device}, {precision}. Fingerprint of the recipe: `{fingerprint}`.

```yaml
{recipe}
```
"""


def model_card(result: dict[str, Any], about: dict[str, Any], recipe_text: str) -> str:
    """A README.md with front matter for the Hub: what, how good, how to load, how it was made.

    Args:
        result: the run's record, with its ``export`` section.
        about: what ``workbench.json`` of the folder says.
        recipe_text: the resolved recipe as YAML.
    """
    base, revision, kind = about["base"], about["revision"], about["kind"]
    named = json.dumps(base) + (f", revision={json.dumps(revision)}" if revision else "")
    sizes, parameters = result["data"]["sizes"], result["parameters"]
    tested, references = result["metrics"]["test"], result["references"]
    return _PAGE.format(
        base=json.dumps(base),
        library="peft" if kind == "peft" else "transformers",
        task=result["task"],
        method=result["method"],
        title=f"{result['recipe']}: {result['method']} on {base}",
        description=result["description"] or "Fine-tuned with the PEFT workbench.",
        seed=result["seed"],
        scores="\n".join(f"| {name} | {_number(value)} |" for name, value in tested.items()),
        references="\n".join(f"| {n} | {_listed(scores)} |" for n, scores in references.items()),
        trainable=parameters["trainable"],
        total=parameters["total"],
        head=parameters["head"],
        train_size=sizes["train"],
        validation_size=sizes["validation"],
        test_size=sizes["test"],
        max_length=about["max_length"],
        loading=_LOADING[kind].format(auto=about["auto_class"], base=named),
        usage=_USAGE[result["task"]].format(
            length=about["max_length"],
            virtual=about["virtual_tokens"] if about["per_position"] else 0,
        ),
        checked=result["export"]["examples"],
        difference=result["export"]["max_logit_difference"],
        device=result["policy"]["device_name"],
        precision=result["policy"]["precision"],
        fingerprint=result["fingerprint"],
        recipe=recipe_text.strip(),
    )


def _listed(scores: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in scores.items())


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
