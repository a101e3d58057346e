"""The retention of a run: asked of its export, in the process that checks it."""

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

from workbench.adapters.export import load_request
from workbench.adapters.plain_load import PlainLoader
from workbench.distributed.accelerator import free_memory
from workbench.errors import WorkbenchError
from workbench.metrics.baselines import cached
from workbench.retention.passages import SHA256, read_passages

PROGRAM = Path(__file__).with_name("program.py")
TOKENS = 32
"""Of each passage, special tokens included; 1,536 in all, which a decoder of 135M parameters reads
in 3 s on two cores."""


class NotMeasured(Exception):
    """Why there is no figure, in words."""


def measure_retention(
    loader: PlainLoader,
    folder: Path,
    about: dict[str, Any],
    comparability: dict[str, str],
    parameters: int,
) -> dict[str, Any]:
    """What result.json says of the retention of an export; where there is no figure, ``why``.

    Args:
        about: what ``workbench.json`` of the export says.
        parameters: of the base; the export and the base have to be in memory at once.
    """
    started = time.perf_counter()
    try:
        found = _measured(loader, folder, about, comparability, parameters)
    except (NotMeasured, WorkbenchError, OSError) as error:
        found = {"measure": None, "why": str(error).splitlines()[0]}
    return {**found, "text": SHA256, "seconds": time.perf_counter() - started}


def _measured(
    loader: PlainLoader,
    folder: Path,
    about: dict[str, Any],
    comparability: dict[str, str],
    parameters: int,
) -> dict[str, Any]:
    needed, free = 2 * 4 * parameters, free_memory(torch.device("cpu"))
    if needed > free:
        raise NotMeasured(f"export and base take {needed:,} bytes together and {free:,} are free")
    tokens = min(TOKENS, about["max_length"])
    request = load_request(folder, about) | {
        "program": str(PROGRAM),
        "passages": read_passages(),
        "tokens": tokens,
    }
    versions = torch.__version__, transformers.__version__
    names = comparability["base"], comparability["tokenisation"]
    base = cached(
        ("retention", SHA256, tokens, PROGRAM.read_bytes(), *names, *versions),
        lambda: _ask(loader, {**request, "measure": None}),
    )
    adapted = _ask(loader, {**request, "measure": base["measure"]})
    about_text = {"measure": base["measure"], "tokens": tokens}
    if "layers" in adapted:
        return {**about_text, "value": _mean(adapted["layers"]), **adapted}
    was, now = (perplexity(each["passages"]) for each in (base, adapted))
    return {
        **about_text,
        "value": _finite(was / now),
        "perplexity": _finite(now),
        "base_perplexity": was,
        "passages": adapted["passages"],
        "base_passages": base["passages"],
    }


def _ask(loader: PlainLoader, request: dict[str, Any]) -> dict[str, Any]:
    answer = loader.ask(request)
    if "error" in answer:
        raise NotMeasured(f"plain transformers + PEFT: {answer['error']}")
    return answer


def perplexity(passages: Sequence[Sequence[float]]) -> float:
    """Of all passages together, from the negative log-likelihood of each and its tokens."""
    nll, tokens = (math.fsum(column) for column in zip(*passages, strict=True))
    if not tokens:
        raise NotMeasured("no token is left to predict")
    try:
        return math.exp(nll / tokens)
    except OverflowError:
        return math.inf


def _mean(values: Sequence[float]) -> float:
    return _finite(math.fsum(values) / len(values))


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise NotMeasured("the adapted model gives no finite number")
    return value
