"""The model card of an export, written from the run's record."""

import json
from typing import Any

import yaml

from workbench.recipe.tasks import TASK_SPECS
from workbench.tasks import TASKS

_LOADING = {
    "full": """from transformers import {auto}, AutoTokenizer

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
model = {auto}.from_pretrained(folder).eval()""",
    "delta": """import os
from safetensors.torch import load_file
from transformers import {auto}, AutoConfig, AutoTokenizer{needed}

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
{quantised}model = {auto}.from_pretrained({base}, config=AutoConfig.from_pretrained(folder){told})
state = load_file(os.path.join(folder, "trained_weights.safetensors"))
model.load_state_dict(state, strict=False)
model.eval()""",
    "peft": """from peft import PeftModel
from transformers import {auto}, AutoConfig, AutoTokenizer{needed}

folder = "PATH/TO/THIS/FOLDER"
tokenizer = AutoTokenizer.from_pretrained(folder)
{quantised}model = {auto}.from_pretrained({base}, config=AutoConfig.from_pretrained(folder){told})
{rows}model = PeftModel.from_pretrained(model, folder).eval()""",
}


_MERGED = """
What was trained is merged into the weights: this folder holds a whole model.
"""
_ROUNDED = """
What was trained is merged into the weights, which were in {weights} in training and are {saved}
here: this folder holds a whole model, whose outputs are not exactly those of the adapter.
"""

_PAGE = """---
base_model: {base}
library_name: {library}
pipeline_tag: {task}
tags: [peft-workbench, {method}]
---

# {title}

{description}
{whole}
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


def model_card(
    result: dict[str, Any], about: dict[str, Any], recipe_text: str, *, merged: bool = False
) -> str:
    """A README.md with front matter for the Hub: what, how good, how to load, how it was made.

    Args:
        result: the run's record, with its ``export`` section.
        about: what ``workbench.json`` of the folder says.
        recipe_text: the resolved recipe as YAML.
        merged: whether an adapter has been merged into the weights that the folder holds.
    """
    base, task = about["base"], about["task"]["name"]
    base_in = _weights(about.get("loading"))
    sizes, parameters = result["data"]["sizes"], result["parameters"]
    tested, references = result["metrics"]["test"], result["references"]
    pairs = yaml.safe_load(recipe_text)["data"]["text_pair"] is not None
    rows = [
        f"| {name} | {', '.join(f'{each} {_number(value)}' for each, value in scores.items())} |"
        for name, scores in references.items()
    ]
    return _PAGE.format(
        base=json.dumps(base),
        library="peft" if about["kind"] == "peft" else "transformers",
        task=TASK_SPECS[task].hub_task or task,
        method=result["method"],
        title=f"{result['recipe']}: {result['method']} on {base}",
        description=result["description"] or "Fine-tuned with the PEFT workbench.",
        whole=_whole(about) if merged else "",
        seed=result["seed"],
        scores="\n".join(f"| {name} | {_number(value)} |" for name, value in tested.items()),
        references="\n".join(rows),
        trainable=parameters["trainable"],
        total=parameters["total"],
        head=parameters["head"],
        train_size=sizes["train"],
        validation_size=sizes["validation"],
        test_size=sizes["test"],
        max_length=about["max_length"],
        loading=_loading(about),
        usage="\n".join(TASKS[task].usage(about, pairs=pairs)),
        checked=result["export"]["examples"],
        difference=result["export"]["max_logit_difference"],
        device=result["policy"]["device_name"],
        precision=result["policy"]["precision"] + (f", the base in {base_in}" if base_in else ""),
        fingerprint=result["fingerprint"],
        recipe=recipe_text.strip(),
    )


def _weights(loading: dict[str, Any] | None) -> str | None:
    """The format of a base's weights where it is in fewer bits than fp32 has."""
    quantised = (loading or {}).get("quantization_config")
    if not quantised:
        return (loading or {}).get("dtype")
    return str(quantised.get("bnb_4bit_quant_type", "int8"))


def _whole(about: dict[str, Any]) -> str:
    merged = about.get("merged_from")
    if not merged:
        return _MERGED
    return _ROUNDED.format(weights=_weights(merged), saved=merged["dtype"])


def _loading(about: dict[str, Any]) -> str:
    """The lines of Python that load the folder."""
    base, revision, rows = about["base"], about["revision"], about.get("embedding_rows")
    loading = about.get("loading") or {}
    quantised = loading.get("quantization_config")
    numbers = f", dtype={loading['dtype']!r}" if "dtype" in loading else ""
    numbers += ", quantization_config=quantization" if quantised else ""
    options = "".join(f"    {name}={value!r},\n" for name, value in (quantised or {}).items())
    return _LOADING[about["kind"]].format(
        auto=about["auto_class"],
        base=json.dumps(base) + (f", revision={json.dumps(revision)}" if revision else ""),
        told=(", ignore_mismatched_sizes=True" if about.get("other_head") else "") + numbers,
        needed=", BitsAndBytesConfig" if quantised else "",
        quantised=f"quantization = BitsAndBytesConfig(\n{options})\n" if quantised else "",
        rows=f"model.resize_token_embeddings({rows}, mean_resizing=False)\n" if rows else "",
    )


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
