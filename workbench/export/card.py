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


def model_card(
    record: dict[str, Any],
    *,
    kind: str,
    auto_class: str,
    base: str,
    revision: str | None,
    recipe_text: str,
    max_length: int,
) -> str:
    """A README.md with front matter for the Hub: what, how good, how to load, how it was made."""
    named = json.dumps(base) + (f", revision={json.dumps(revision)}" if revision else "")
    loading = _LOADING[kind].format(auto=auto_class, base=named)
    library = "transformers" if kind == "full" else "peft"
    sizes, parameters = record["data"]["sizes"], record["parameters"]
    scores = "\n".join(
        f"| {name} | {_number(value)} |" for name, value in record["metrics"]["test"].items()
    )
    references = "\n".join(
        f"| {name} | " + ", ".join(f"{k} {_number(v)}" for k, v in values.items()) + " |"
        for name, values in record["references"].items()
    )
    return f"""---
base_model: {json.dumps(base)}
library_name: {library}
pipeline_tag: {record["task"]}
tags: [peft-workbench, {record["method"]}]
---

# {record["recipe"]}: {record["method"]} on {base}

{record["description"] or "Fine-tuned with the PEFT workbench."}

| test metric ({sizes["test"]} examples, seed {record["seed"]}) | value |
| --- | --- |
{scores}

For comparison, on the same split:

| reference | scores |
| --- | --- |
{references}

Trained parameters: {parameters["trainable"]:,} of {parameters["total"]:,}
({parameters["head"]:,} of them in the task head). Trained on {sizes["train"]} examples,
selected on {sizes["validation"]}; texts are cut to {max_length} tokens.

## Load it

```python
{loading}

inputs = tokenizer("a text", truncation=True, max_length={max_length}, return_tensors="pt")
print(model.config.id2label[int(model(**inputs).logits.argmax())])
```

These lines were run in a fresh process before this folder was written, on
{record["export"]["examples"]} test texts: the logits differ from the run's own by at most
{record["export"]["max_logit_difference"]:.1e}.

## How it was made

Device: {record["policy"]["device_name"]}, {record["policy"]["precision"]}. Fingerprint of the
recipe: `{record["fingerprint"]}`.

```yaml
{recipe_text.strip()}
```
"""


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
