"""One LoRA run as a user would write it: HF Trainer + PEFT. Run by ``python -m benchmarks``.

Reads a folder with the same splits, prints one JSON line. Nothing of the workbench's training is
imported; the memory figures are read the same way on both sides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.peak import peak_bytes, reset_peak


def accuracy(outcome: Any) -> dict[str, float]:
    """Share of right answers."""
    return {"accuracy": float((np.argmax(outcome.predictions, 1) == outcome.label_ids).mean())}


def main() -> None:
    """Trains, selects nothing, tests once; prints seconds, peak bytes and accuracy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=json.loads)
    s = parser.parse_args().settings
    files = {
        name: str(Path(s["data"]) / f"{name}.jsonl") for name in ("train", "validation", "test")
    }

    before = reset_peak()
    started = time.perf_counter()
    set_seed(s["seed"])
    tokenizer = AutoTokenizer.from_pretrained(s["model"])
    data = load_dataset("json", data_files=files).map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=s["max_length"]),
        batched=True,
        remove_columns=["text"],
    )
    model = AutoModelForSequenceClassification.from_pretrained(s["model"], num_labels=s["labels"])
    model = get_peft_model(
        model,
        LoraConfig(
            task_type="SEQ_CLS", r=s["r"], lora_alpha=s["alpha"], target_modules=s["targets"]
        ),
    )
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=s["epochs"],
            per_device_train_batch_size=s["batch_size"],
            learning_rate=s["learning_rate"],
            warmup_steps=s["warmup_fraction"],
            eval_strategy="epoch",
            save_strategy="no",
            report_to="none",
            seed=s["seed"],
            bf16=s["bf16"],
            use_cpu=not torch.cuda.is_available(),  # bf16 is refused on a CPU without this
            disable_tqdm=True,
        )
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=data["train"],
            eval_dataset=data["validation"],
            data_collator=DataCollatorWithPadding(tokenizer),
            compute_metrics=accuracy,
        )
        train_started = time.perf_counter()
        trainer.train()
        train_seconds = time.perf_counter() - train_started
        evaluated = sum(
            row["eval_runtime"] for row in trainer.state.log_history if "eval_runtime" in row
        )
        test = trainer.predict(data["test"])
    print(
        json.dumps(
            {
                "steps_seconds": train_seconds - evaluated,
                "run_seconds": time.perf_counter() - started,
                "peak_bytes": peak_bytes() - before,
                "accuracy": test.metrics["test_accuracy"],
                "steps": trainer.state.global_step,
            }
        )
    )


if __name__ == "__main__":
    main()
