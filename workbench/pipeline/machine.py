"""What this machine can do, and what it lacks: ``workbench doctor``."""

import platform
import shutil
from collections import defaultdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from packaging.requirements import Requirement

from workbench.assets import cache_dir, listing
from workbench.assets.hub import why_unreachable
from workbench.distributed.accelerator import free_memory, this_process
from workbench.distributed.policy import choose_policy
from workbench.pipeline.environment import PACKAGES, version
from workbench.recipe.schema import TrainingSpec
from workbench.store import memory_now

PACKAGE = "peft-workbench"
FOR_DEVELOPERS = ("demo", "dev", "test")
"""Extras that bundle others or only serve the work on this code."""
LEAST_DISK_BYTES = 2 * 2**30
"""About what the embedded models and the checkpoints of a study take."""

Finding = dict[str, str]


def look(runs: Path) -> dict[str, Any]:
    """Devices, precision, kernels, memory, disk, extras and models, with what is ``missing`` (what,
    why, fix). Fetches nothing; the Hub is asked whether it answers."""
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: version(name) for name in PACKAGES},
        "device": choose_policy(TrainingSpec(), this_process().device).record(),
        "gpus": [_gpu(index) for index in range(torch.cuda.device_count())],
        "kernels": _kernels(),
        "memory": memory_now(),
        "disk": [_disk("runs", runs.absolute()), _disk("cache", cache_dir())],
        "extras": _extras(),
        "assets": {each["name"]: each["state"] for each in listing()},
        "hub_models": _hub_models(),
        "hub": why_unreachable() or "answers",
    }
    return {**found, "missing": _missing(found)}


def _gpu(index: int) -> dict[str, Any]:
    about = torch.cuda.get_device_properties(index)
    return {
        "name": about.name,
        "total_bytes": about.total_memory,
        "free_bytes": free_memory(torch.device("cuda", index)),
        "compute_capability": f"{about.major}.{about.minor}",
        "bf16": torch.cuda.is_bf16_supported(including_emulation=False),
    }


def _kernels() -> dict[str, Any]:
    return {
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version() if torch.backends.cudnn.is_available() else None,
        "cpu": torch.backends.cpu.get_cpu_capability(),
        "onednn": torch.backends.mkldnn.is_available(),
        "mkl": torch.backends.mkl.is_available(),
        **{name: version(name) for name in ("triton", "flash-attn", "bitsandbytes")},
    }


def _disk(what: str, folder: Path) -> dict[str, Any]:
    there = next(each for each in (folder, *folder.parents) if each.exists())
    return {"what": what, "folder": str(folder), "free_bytes": shutil.disk_usage(there).free}


def _extras() -> dict[str, list[str]]:
    """What each extra still needs; an empty list where it is installed."""
    lacking: dict[str, list[str]] = defaultdict(list)
    try:
        asked = metadata.requires(PACKAGE) or []
        extras = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:  # a checkout that was put on the path
        return {}
    for extra in extras:
        for requirement in map(Requirement, asked):
            marker = requirement.marker
            if marker is None or marker.evaluate({"extra": ""}):
                continue
            here = version(requirement.name)
            if marker.evaluate({"extra": extra}) and not (
                here and requirement.specifier.contains(here, prereleases=True)
            ):
                lacking[extra].append(str(requirement).partition(";")[0].strip())
    return {extra: lacking[extra] for extra in extras if extra not in FOR_DEVELOPERS}


def _hub_models() -> list[str]:
    try:
        return sorted(repo.repo_id for repo in scan_cache_dir().repos if repo.repo_type == "model")
    except CacheNotFound:
        return []


def _missing(found: dict[str, Any]) -> list[Finding]:
    gaps = []
    if not found["gpus"] and shutil.which("nvidia-smi"):
        gaps.append(
            _gap(
                "torch sees no GPU",
                f"torch {torch.__version__} is built for {torch.version.cuda or 'the CPU'}, or the "
                "driver is older than it needs",
                "install a build of torch for the CUDA version that nvidia-smi prints "
                "(https://pytorch.org/get-started)",
            )
        )
    if found["device"]["precision"] == "fp32":
        why = "this device would only emulate bf16, so trainings are computed in fp32"
        gaps.append(_gap("bf16", why, "none: take a newer processor or GPU where time matters"))
    for disk in found["disk"]:
        if disk["free_bytes"] < LEAST_DISK_BYTES:
            why = f"less than 2 GB are free below {disk['folder']}"
            fix = "free space, or " + ("name another folder with --runs" if disk["what"] == "runs"
                                       else "set WORKBENCH_CACHE to another disk")  # fmt: skip
            gaps.append(_gap(f"disk for {disk['what']}", why, fix))
    for extra, needs in found["extras"].items():
        if needs:
            fix = f"pip install '{PACKAGE}[{extra}]'"
            gaps.append(_gap(f"extra {extra}", f"not installed: {', '.join(needs)}", fix))
    for name, state in found["assets"].items():
        if state != "cached":
            gaps.append(_gap(f"asset:{name}", state, f"workbench assets pull {name}"))
    if found["hub"] != "answers":
        fix = "connect, or name models and data that are embedded, cached or in a folder"
        gaps.append(_gap("Hugging Face Hub", found["hub"], fix))
    return gaps


def _gap(what: str, why: str, fix: str) -> Finding:
    return {"what": what, "why": why, "fix": fix}
