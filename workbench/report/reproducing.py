"""On what the runs ran, and the commands that run them again."""

import re
import shlex
from collections import Counter
from pathlib import Path
from typing import Any

from workbench.analysis.records import get_section
from workbench.comparison import Comparison
from workbench.comparison.rows import grouped
from workbench.store import read_record

_OWN = "peft-workbench"
_NAME = re.compile(r"[A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?", re.ASCII)
_VERSION = re.compile(r"[\w.!]+(?:\+[\w.]+)?", re.ASCII)


def environments(comparison: Comparison) -> list[tuple[str, str]]:
    """What every run ran on: name and value, with all values where runs differ."""
    seen: dict[str, Counter[str]] = {}
    for sample in comparison.samples:
        for run, record in zip(sample.runs, sample.records, strict=True):
            facts = _facts(read_record(run.path / "environment.json") or {})
            for name, value in {**facts, "computed on": record.hardware}.items():
                seen.setdefault(name, Counter())[value] += 1
    return [
        (name, "; ".join(f"{v} ({n} runs)" if len(values) > 1 else v for v, n in values.items()))
        for name, values in seen.items()
    ]


def _facts(environment: dict[str, Any]) -> dict[str, str]:
    facts = {name: environment.get(name) for name in ("python", "platform")}
    git = get_section(environment, "git")
    if git.get("commit"):
        facts["commit"] = f"{git['commit']}{' with changes' if git.get('dirty') else ''}"
    facts |= get_section(environment, "packages")
    return {name: str(value) for name, value in facts.items() if value is not None}


def requirements(comparison: Comparison) -> str:
    """Versions of the packages as pip reads them, from the newest run that says."""
    for sample in reversed(comparison.samples):
        environment = read_record(sample.runs[-1].path / "environment.json") or {}
        named = get_section(environment, "packages").items()
        # pip obeys what it reads, and anybody may have written a run's record.
        packages = {
            name: version
            for name, version in named
            if isinstance(version, str) and _NAME.fullmatch(name) and _VERSION.fullmatch(version)
        }
        if packages:
            own = packages.pop(_OWN, None)
            # The local part of a version (+cpu) is not on the package index.
            lines = [f"{name}=={v.partition('+')[0]}" for name, v in packages.items()]
            return "\n".join([f"# {_OWN} {own or 'of an unknown version'}", *lines]) + "\n"
    return "# the runs do not say what they ran on\n"


def commands(
    comparison: Comparison, files: dict[str, str], baseline: str | None, folder: Path
) -> list[tuple[str, str]]:
    """What to type in the report's own folder, and what each command does."""
    named = f" --baseline {shlex.quote(baseline)}" if baseline else ""
    lines = []
    for seeds, samples in grouped(comparison.samples, lambda sample: tuple(sample.seeds)).items():
        names = " ".join(shlex.quote(files[sample.label]) for sample in samples)
        command = f"workbench run {names} --seeds {','.join(map(str, seeds))} --runs runs"
        lines.append(("run the same recipes with the same seeds", command))
    lines.append(("set them side by side", f"workbench compare runs{named}"))
    again = shlex.quote(f"{folder.name or 'report'}-again")
    lines.append(("write this page again", f"workbench report runs --output {again}{named}"))
    return lines


def local_sources(comparison: Comparison) -> list[str]:
    """Files and folders of the machine it ran on that the recipes name; they are not copied."""
    keys = ("data.source", "model.source", "init_from")
    values = [s.settings.get(key) for s in comparison.samples for key in keys]
    named = [str(v) for v in values if isinstance(v, str)]
    return [v for v in dict.fromkeys(named) if v.startswith((".", "/", "~")) or Path(v).exists()]
