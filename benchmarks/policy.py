"""Step time of one LoRA recipe under each choice of precision, attention and dropout.

``python -m benchmarks.policy`` repeats, on the device at hand, the measurement behind
``workbench.distributed.policy``. The settings take turns, and each is compared with its neighbour
in time. On a CPU it also compares the two libraries that can multiply fp32 matrices. On any device
a step that is read one behind stands beside one that is read at once, and AdamW as one kernel
beside AdamW over a list of tensors (`benchmarks.gpu.steps`, a part of `make gpu`), and evaluation
batches of 32 beside those that free memory allows (`benchmarks.gpu.evaluation`).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from benchmarks.gpu import evaluation, steps
from workbench.assets import fetch
from workbench.data import load_data
from workbench.distributed.accelerator import this_process
from workbench.distributed.processor import onednn_is_quicker
from workbench.models import products_by_onednn
from workbench.recipe import load_recipe, recipes_dir

SETTINGS = {
    "fp32, sdpa, dropout 0.1 (transformers' defaults)": ("fp32", "sdpa", 0.1),
    "fp32, sdpa, no dropout": ("fp32", "sdpa", 0.0),
    "fp32, eager, no dropout": ("fp32", "eager", 0.0),
    "bf16, sdpa, dropout 0.1": ("bf16", "sdpa", 0.1),
    "bf16, sdpa, no dropout": ("bf16", "sdpa", 0.0),
    "bf16, eager, no dropout": ("bf16", "eager", 0.0),
}


def main() -> None:
    """Prints the median step time of each setting relative to the first."""
    from peft import LoraConfig, get_peft_model

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    recipe = load_recipe(recipes_dir() / "bbc-news/lora.yaml")
    folder, device = fetch("minilm-l6"), this_process().device
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = list(load_data(recipe.data, recipe.task).train.texts[: recipe.training.batch_size])
    batch = tokenizer(texts, truncation=True, max_length=128, padding=True, return_tensors="pt")
    batch = batch.to(device)
    labels = torch.arange(len(texts), device=device) % 5

    def model_for(attention: str, dropout: float) -> Any:
        base = AutoModelForSequenceClassification.from_pretrained(
            folder,
            num_labels=5,
            attn_implementation=attention,
            hidden_dropout_prob=dropout,
            attention_probs_dropout_prob=dropout,
        )
        config = LoraConfig(task_type="SEQ_CLS", r=8, target_modules=["query", "value"])
        return get_peft_model(base, config).to(device).train()

    models = {name: model_for(s[1], s[2]) for name, s in SETTINGS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(rounds):
        for name, (precision, _, _) in SETTINGS.items():
            for turn in range(4):
                took = _step(models[name], batch, labels, precision, device)
                if turn:  # the first one of a turn warms up
                    seconds[name].append(took)
    first = statistics.median(next(iter(seconds.values())))
    print(f"{device}, batch {tuple(batch['input_ids'].shape)}, median of {3 * rounds} steps")
    for name, values in seconds.items():
        print(f"{statistics.median(values) / first:5.2f}  {name}")
    if device.type == "cpu":
        _compare_products(models["fp32, sdpa, no dropout"].eval(), batch, rounds)
    with tempfile.TemporaryDirectory() as folder_of_runs:
        asked = "LoRA on MiniLM", recipe, Path(folder_of_runs)
        for row in (*steps.rows(*asked, steps=rounds), *evaluation.rows(*asked)):
            print(f"{row['value']}  {row['what']}")


def _compare_products(model: Any, batch: Any, rounds: int) -> None:
    """Prints the time of a forward pass in fp32 by oneDNN relative to torch's own choice."""
    seconds: dict[bool, list[float]] = {False: [], True: []}
    with torch.inference_mode():
        for turn in range(8 * rounds):
            by_onednn = turn % 2 == 1
            with products_by_onednn(model) if by_onednn else nullcontext():
                started = time.perf_counter()
                model(**batch)
                seconds[by_onednn].append(time.perf_counter() - started)
    plain, onednn = (statistics.median(seconds[each]) for each in (False, True))
    print(f"{onednn / plain:5.2f}  fp32 forward pass by oneDNN; 1 is torch's choice")
    taken = "oneDNN" if onednn_is_quicker() else "torch's choice"
    print(f"       the workbench takes {taken} here")


def _step(model: Any, batch: Any, labels: Any, precision: str, device: torch.device) -> float:
    started = time.perf_counter()
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        logits = model(**batch).logits
    torch.nn.functional.cross_entropy(logits.float(), labels).backward()
    model.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
