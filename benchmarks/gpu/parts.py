"""The parts of ``make gpu``: each yields rows of a figure, its bar and whether it was reached."""

import contextlib
import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers

import benchmarks.__main__ as trainers
from benchmarks import forecast
from benchmarks.gpu import adapters_at_once, evaluation, steps
from benchmarks.gpu.steps import result_row
from benchmarks.settings import settings_of
from tests.tiny_models import make_tiny, topic_rows
from workbench.adapters.plain_load import PlainLoader
from workbench.cli import main
from workbench.pipeline.runner import run_recipe
from workbench.pipeline.setup import StudyCache
from workbench.pipeline.signals import StopRequest
from workbench.recipe import Recipe, load_recipe, recipes_dir
from workbench.recipe.model_spec import WEIGHT_FORMAT
from workbench.store import Run

Row = dict[str, Any]
METHODS = ("full", "head", "bitfit", "lora", "ia3", "prefix", "p-tuning", "prompt")
WRITES = ("full", "lora", "ia3", "prefix", "p-tuning", "prompt")
"""Methods for a decoder that writes: there is no head to train, and it has no biases."""

FEW = ("full", "lora", "prompt")
"""Methods of a pretence, which has three minutes for all parts."""


@dataclass(frozen=True)
class Setting:
    """Where a part works, and whether it only pretends."""

    folder: Path
    pretend: bool

    def recipe(self, family: str, method: str, **training: Any) -> dict[str, Any]:
        """Headlines by a small GPT (``decoder``) or topics by a BERT, on real models and data."""
        writes = family == "decoder"
        task = {"name": "instruction", "metrics": ["perplexity"], "decoding": {"max_new_tokens": 4}}
        values: dict[str, Any] = {
            "study": family,
            "name": method,
            "task": task if writes else {"name": "text-classification"},
            "model": {"source": "asset:smollm2-135m" if writes else "asset:minilm-l6"},
            "data": {"source": "asset:bbc-headlines" if writes else "asset:bbc-news"},
            "method": {"name": method},
            "training": {"batch_size": 8, "max_steps": 6, "keep": "last", **training},
            "evaluation": {"retention": False},
        }
        values["model"]["max_length"] = 24 if self.pretend else 128
        values["data"] |= {"train_size": 48, "validation_size": 8, "test_size": 8}
        if writes and not self.pretend:
            values["data"] |= {"text": "article", "label": "headline"}
        if self.pretend:
            values["model"]["source"] = str(self._tiny("llama" if writes else "bert"))
            values["data"]["source"] = str(self._rows(writes=writes))
        return values

    def _tiny(self, family: str) -> Path:
        folder = self.folder / family
        if not folder.exists():
            make_tiny(family, folder)
            if family == "llama":  # in sizes that bitsandbytes has 4-bit kernels for
                size = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 32}
                config = transformers.LlamaConfig.from_pretrained(folder, **size)
                transformers.LlamaForCausalLM(config).save_pretrained(folder)
        return folder

    def _rows(self, *, writes: bool) -> Path:
        file = self.folder / f"rows-{writes}.jsonl"
        rows = topic_rows(64)
        for row in rows if writes else ():
            row["label"] = " ".join(row["text"].split()[:3])
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return file


def _tried(what: str, attempt: Callable[[], Row]) -> Row:
    """The row of an attempt, or why there is none."""
    try:
        return attempt()
    # Whatever a card, a kernel or a library does: the report is about it.
    except (Exception, SystemExit) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        return {"what": what, "verdict": f"failed: {why[:300]}"}


def _tests(setting: Setting) -> Iterator[Row]:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider"]
    folder = ["tests/test_gpu.py"] if setting.pretend else []
    done = subprocess.run([*command, *folder], capture_output=True, text=True, check=False)
    found = re.findall(
        r"(\d+) (passed|failed|skipped|error)", done.stdout.rpartition("\n=")[2] or ""
    )
    counts = {word: int(number) for number, word in found} or {"exit code": done.returncode}
    value = ", ".join(f"{number} {word}" for word, number in counts.items())
    yield result_row("tests marked gpu", value, "none fails", reached=done.returncode == 0)


def _methods(setting: Setting) -> Iterator[Row]:
    with PlainLoader() as loader:
        for family, methods in (("encoder", METHODS), ("decoder", WRITES)):
            cache = StudyCache()
            for method in FEW if setting.pretend else methods:
                what = f"{family}, {method}: run, stop, resume, export"
                recipe = Recipe.model_validate(setting.recipe(family, method))
                run = partial(run_recipe, recipe, 0, setting.folder / "runs", loader=loader)
                attempt = partial(_one_method, what, setting, partial(run, cache=cache))
                yield _tried(what, attempt)


def _one_method(what: str, setting: Setting, run_it: Callable[..., Run]) -> Row:
    request = StopRequest()

    def stop(kind: str, fields: dict[str, Any]) -> None:
        if kind == "step" and fields["step"] == 3:
            request.signal_number = signal.SIGTERM

    stopped = run_it(observer=stop, request=request)
    if stopped.state != "stopped":
        raise RuntimeError(f"it was to stop and is {stopped.state}: {stopped.reason}")
    run = run_it(resume=True)
    if run.state != "finished":
        raise RuntimeError(run.reason or run.state)
    to = setting.folder / "exports" / run.id
    with contextlib.redirect_stdout(io.StringIO()):
        if code := main(["export", str(run.path), "--output", str(to)]):
            raise RuntimeError(f"the export ended with {code}")
    apart = run.result["export"]["max_logit_difference"]
    value = f"plain load differs by {apart:.1e}"
    return result_row(what, value, "below 1e-3", reached=apart < 1e-3)


def _memory(setting: Setting) -> Iterator[Row]:
    for method in ("lora",) if setting.pretend else ("full", "lora", "prefix", "prompt"):
        for batch in (8,) if setting.pretend else (4, 32):
            what = f"{method}, batches of {batch}: memory forecast"
            yield _tried(what, partial(_one_forecast, setting, method, batch, what))


def _one_forecast(setting: Setting, method: str, batch: int, what: str) -> Row:
    recipe = setting.recipe("encoder", method, batch_size=batch)
    cell = forecast.measure(recipe, 0)
    error = forecast.errors(cell)["memory"]
    if error is None:
        raise RuntimeError("; ".join(cell["forecast"]["notes"]) or "no forecast")
    value = f"{cell['measured']['peak_memory_bytes'] / 1e6:.0f} MB, {error:+.1%}"
    return result_row(what, value, "within 5%", reached=abs(error) <= 0.05)


def _precision(setting: Setting) -> Iterator[Row]:
    runs: dict[str, Run] = {}

    def lora(name: str, **model: Any) -> Row:
        values = setting.recipe("decoder", "lora")
        values |= {"name": name, "model": values["model"] | model}
        run = run_recipe(Recipe.model_validate(values), 0, setting.folder / "runs")
        if run.state != "finished":
            raise RuntimeError(run.reason or run.state)
        runs[name] = run
        scores, memory = run.result["metrics"]["test"], run.result["memory"]
        peak = memory["peak_memory_bytes"] / 1e6
        return result_row(f"LoRA, {name}", f"perplexity {scores['perplexity']:.2f}, {peak:.0f} MB")

    yield _tried("LoRA, bf16", lambda: lora("bf16", dtype="bf16"))
    shipped = load_recipe(recipes_dir() / "bbc-headlines-nf4/lora-nf4.yaml").model
    nf4 = shipped.model_dump(include=set(WEIGHT_FORMAT))  # of SmolLM2's 30 layers
    nf4 = {"quantization": "nf4"} if setting.pretend else nf4
    yield _tried("LoRA, nf4", lambda: lora("nf4", **nf4))
    if len(runs) == 2:
        perplexity, weights = (
            runs["nf4"].result[key][part][name] / runs["bf16"].result[key][part][name]
            for key, part, name in (
                ("metrics", "test", "perplexity"),
                ("memory", "breakdown", "weights_bytes"),
            )
        )
        yield result_row("nf4 over bf16: perplexity", f"{perplexity:.3f}", "at most 1.03",
                   reached=perplexity <= 1.03)  # fmt: skip
        yield result_row("nf4 over bf16: bytes of the weights", f"{weights:.2f}", "at most 0.6",
                   reached=weights <= 0.6)  # fmt: skip


def _trainer(setting: Setting) -> Iterator[Row]:
    base = "bert" if setting.pretend else "bert-base"
    cells = (("encoder", 16, 128, 2.0), ("decoder", 8, 256, 1.5))
    for family, batch, tokens, bar in cells[:1] if setting.pretend else cells:
        name = base if family == "encoder" else "SmolLM2"
        what = f"{name}, LoRA {batch} x {tokens}: steps/s over Trainer + PEFT in bf16"
        values = setting.recipe(family, "lora", batch_size=batch, max_steps=None, epochs=1)
        values["data"]["train_size"] = 48 if setting.pretend else 60 * batch
        target = ["query", "value"] if family == "encoder" else ["q_proj", "v_proj"]
        values["method"] |= {"target_modules": target}
        if not setting.pretend:
            values["model"]["max_length"] = tokens
            if family == "encoder":
                values["model"]["source"] = str(forecast.model_folder(base, setting.folder))
        yield from _beside(setting, what, values, bar)


def _beside(setting: Setting, what: str, values: dict[str, Any], bar: float) -> Iterator[Row]:
    found: dict[str, dict[str, float]] = {}

    def measure() -> Row:
        file = setting.folder / "beside.yaml"
        file.write_text(json.dumps(values), encoding="utf-8")  # JSON is YAML
        settings = settings_of(str(file), [], setting.folder)
        found.update(trainers._round(settings, 0))
        theirs = found.get("HF Trainer, bf16") or found["HF Trainer, defaults"]
        ratio = theirs["steps_seconds"] / found["workbench"]["steps_seconds"]
        return result_row(what, f"{ratio:.2f}", f"at least {bar}",
                    reached=None if setting.pretend else ratio >= bar)  # fmt: skip

    yield _tried(what, measure)
    for side, measured in found.items():
        score = {
            name: round(measured[name], 4) for name in ("loss", "accuracy") if name in measured
        }
        yield result_row(f"{side}: test score", json.dumps(score).strip("{}").replace('"', ""))


def _steps(setting: Setting) -> Iterator[Row]:
    cells = (("encoder", 16, 128), ("decoder", 8, 256))
    for family, batch, tokens in cells[:1] if setting.pretend else cells:
        count = 5 if setting.pretend else 20
        values = setting.recipe(family, "lora", batch_size=batch, max_steps=1000)
        values["data"]["validation_size"] = None
        if not setting.pretend:
            values["model"]["max_length"] = tokens
            values["data"]["train_size"] = 20 * batch
        recipe = Recipe.model_validate(values)
        what = f"{family}, LoRA {batch} x {tokens}"
        yield from steps.rows(what, recipe, setting.folder, steps=count)
        yield from evaluation.rows(what, recipe, setting.folder)
    yield _tried("torch.compile", partial(adapters_at_once.compiled, pretend=setting.pretend))


def _devices(setting: Setting) -> Iterator[Row]:
    count = 2 if setting.pretend else torch.cuda.device_count()
    if count < 2:
        yield {"what": "DDP, FSDP2, ZeRO", "verdict": "not run: one card"}
        return
    file = setting.folder / "devices.yaml"
    file.write_text(json.dumps(setting.recipe("encoder", "lora")), encoding="utf-8")
    for name, options in (("DDP", []), ("FSDP2", ["--shard"]), ("ZeRO 2", ["--zero", "2"])):
        to = ["--runs", str(setting.folder / name), "--processes", str(count)]
        command = [sys.executable, "-m", "workbench", "run", str(file), "--json", *to, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        why = (done.stderr.strip().splitlines() or ["no word"])[-1][:200]
        row = result_row(f"{name} over {count} processes", "finished", "finishes", reached=True)
        yield row if done.returncode == 0 else {**row, "value": "", "verdict": f"failed: {why}"}


@dataclass(frozen=True)
class Part:
    """A part and the seconds that it may take on a card; together less than eight minutes."""

    seconds: int
    rows: Callable[[Setting], Iterator[Row]]


PARTS = {
    "tests": Part(60, _tests),
    "methods": Part(110, _methods),
    "memory": Part(60, _memory),
    "precision": Part(40, _precision),
    "trainer": Part(70, _trainer),
    "steps": Part(40, _steps),
    "devices": Part(40, _devices),
    "adapters at once": Part(60, lambda setting: adapters_at_once.rows(pretend=setting.pretend)),
}
