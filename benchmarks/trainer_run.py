"""One LoRA run as a user would write it: HF Trainer + PEFT. Run by ``python -m benchmarks``.

Reads a folder with the same splits, prints one JSON line. Nothing of the workbench's training is
imported; the memory figures are read the same way on both sides.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import load_dataset
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
    set_seed,
)

from benchmarks.peak import peak_bytes, reset_peak

Settings = dict[str, Any]


@dataclass(kw_only=True)
class Job:
    """What differs between the tasks."""

    data: Any
    model: Any
    peft_task_type: str
    collator: Any
    metrics: Callable[[Any], dict[str, float]] | None


def main() -> None:
    """Trains, selects nothing, tests once; prints what `measure` gives as one JSON line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("settings", type=json.loads)
    print(json.dumps(measure(parser.parse_args().settings)))


def measure(s: Settings) -> dict[str, float]:
    """Seconds, peak bytes and quality of one run.

    ``run_seconds`` reaches from loading tokenizer, data and model to what ``evaluate`` says of the
    test split; ``steps_seconds`` is ``train`` without its evaluations. Quality is ``accuracy`` or,
    for instruction, ``loss``: the mean over the labelled tokens of the test split, in the run's
    own precision.
    """
    before = reset_peak()
    started = time.perf_counter()
    set_seed(s["seed"])
    job = instruction(s) if s["task"] == "instruction" else classification(s)
    adapter = LoraConfig(
        task_type=job.peft_task_type,
        r=s["r"],
        lora_alpha=s["alpha"],
        target_modules=s["target_modules"],
    )
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=get_peft_model(job.model, adapter),
            args=arguments(s, job, folder),
            train_dataset=job.data["train"],
            eval_dataset=job.data["validation"],
            data_collator=job.collator,
            compute_metrics=job.metrics,
        )
        train_started = time.perf_counter()
        trainer.train()
        train_seconds = time.perf_counter() - train_started
        evaluated = sum(
            row["eval_runtime"] for row in trainer.state.log_history if "eval_runtime" in row
        )
        test = trainer.evaluate(job.data["test"], metric_key_prefix="test")
    measured = {
        "steps_seconds": train_seconds - evaluated,
        "run_seconds": time.perf_counter() - started,
        "peak_bytes": peak_bytes() - before,
        "steps": trainer.state.global_step,
    }
    if job.metrics is None:
        return measured | {"loss": loss_per_token(trainer, job.data["test"])}
    return measured | {"accuracy": test["test_accuracy"]}


# --- the tasks ------------------------------------------------------------------------------


def classification(s: Settings) -> Job:
    """A class for every text; the tokenizer is part of the run."""
    tokenizer = AutoTokenizer.from_pretrained(s["model"])
    data = load_dataset("json", data_files=files(s)).map(
        lambda batch: tokenizer(batch["text"], truncation=True, max_length=s["max_length"]),
        batched=True,
        remove_columns=["text"],
    )
    model = AutoModelForSequenceClassification.from_pretrained(s["model"], num_labels=s["labels"])
    return Job(
        data=data,
        model=model,
        peft_task_type="SEQ_CLS",
        collator=DataCollatorWithPadding(tokenizer),
        metrics=accuracy,
    )


def instruction(s: Settings) -> Job:
    """A completion for every prompt; token ids and labels are those of the workbench."""
    tokenizer = AutoTokenizer.from_pretrained(s["model"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    data = load_dataset("json", data_files=files(s))
    # The checkpoint is stored in half precision, in which transformers would leave it.
    model = AutoModelForCausalLM.from_pretrained(s["model"], dtype=torch.float32)
    return Job(
        data=data,
        model=model,
        peft_task_type="CAUSAL_LM",
        collator=DataCollatorForSeq2Seq(tokenizer),
        metrics=None,
    )


def files(s: Settings) -> dict[str, str]:
    """The three splits, as ``load_dataset`` takes them."""
    names = ("train", "validation", "test")
    return {name: str(Path(s["data"]) / f"{name}.jsonl") for name in names}


def arguments(s: Settings, job: Job, folder: str) -> TrainingArguments:
    """Defaults, but for what the recipe says."""
    return TrainingArguments(
        folder,
        num_train_epochs=s["epochs"],
        max_steps=s["max_steps"],
        per_device_train_batch_size=s["batch_size"],
        learning_rate=s["learning_rate"],
        warmup_steps=s["warmup_ratio"],
        eval_strategy="epoch",
        # Logits of a whole vocabulary are nothing to gather.
        prediction_loss_only=job.metrics is None,
        save_strategy="no",
        report_to="none",
        seed=s["seed"],
        bf16=s["bf16"],
        use_cpu=not torch.cuda.is_available(),  # bf16 is refused on a CPU without this
        disable_tqdm=True,
    )


# --- quality --------------------------------------------------------------------------------


def accuracy(outcome: Any) -> dict[str, float]:
    """Share of right answers."""
    return {"accuracy": float((np.argmax(outcome.predictions, 1) == outcome.label_ids).mean())}


def loss_per_token(trainer: Trainer, rows: Any) -> float:
    """Mean loss over all labelled tokens of a split, after the clock has stopped.

    ``evaluate`` gives the mean over batches instead, whatever number of tokens each has.
    """
    summed, tokens = 0.0, 0
    for batch in trainer.get_test_dataloader(rows):
        labelled = int((batch["labels"] != -100).sum())
        loss, _, _ = trainer.prediction_step(trainer.model, batch, prediction_loss_only=True)
        summed, tokens = summed + float(loss) * labelled, tokens + labelled
    return summed / tokens


if __name__ == "__main__":
    main()
