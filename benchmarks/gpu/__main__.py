"""``make gpu``: everything that needs a card, each part within its own time, one report.

A part is a process of its own. What one of them fails at, or does not finish in its time, is a row
of the report; the others go on. ``--pretend`` takes the same way on a CPU with tiny models, which
says nothing of speed. Nothing is fetched but the embedded models, before.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.gpu.parts import PARTS, Setting

RESULTS = Path(__file__).parents[1] / "results"
PRETEND_SECONDS = 100
"""Most that a part may take with tiny models: some start ten processes."""


def main() -> None:
    """Runs the parts and writes ``gpu-CARD.json`` and ``.md``; exits with 1 where a row failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--pretend", action="store_true", help="tiny models on a CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the report")
    parser.add_argument("--one", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        _run_one(arguments.one, arguments.out, pretend=arguments.pretend)
        return
    started = time.monotonic()
    report = {"when": datetime.now(UTC).isoformat(timespec="seconds"), **_machine()}
    if not (report["gpus"] or arguments.pretend):
        raise SystemExit("torch sees no CUDA device here; --pretend takes the same way on a CPU")
    report |= {"pretended": arguments.pretend, "rows": []}
    for name in arguments.parts:
        report["rows"] += _part(name, pretend=arguments.pretend)
    report["seconds"] = round(time.monotonic() - started, 1)
    card = "pretended" if arguments.pretend else report["gpus"][0]["name"].replace(" ", "-").lower()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"gpu-{card}"
    path.with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text(markdown(report), encoding="utf-8")
    print(f"{markdown(report)}\n{path.with_suffix('.md')}")
    sys.exit(any(row["verdict"].startswith(("failed", "missed")) for row in report["rows"]))


def _machine() -> dict[str, Any]:
    """What `workbench doctor` says of this machine, and its driver."""
    command = [sys.executable, "-m", "workbench", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_offline())
    found = json.loads(done.stdout)
    with suppress(OSError, subprocess.CalledProcessError):
        query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
        found["kernels"]["driver"] = driver[0]
    return {key: found[key] for key in ("gpus", "device", "kernels", "packages", "python")}


def _offline() -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}


def _part(name: str, *, pretend: bool) -> list[dict[str, Any]]:
    """The rows of a part; what it had measured when it failed or its time was up, stays."""
    seconds = PRETEND_SECONDS if pretend else PARTS[name].seconds
    print(f"{name} (at most {seconds} s) ...", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        rows, errors = Path(folder, "rows"), Path(folder, "errors")
        command = [sys.executable, "-m", "benchmarks.gpu", "--one", name, "--out", folder]
        with open(errors, "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [*command, *(["--pretend"] if pretend else [])],
                stdout=log, stderr=log, env=_offline(), start_new_session=True,
            )  # fmt: skip
            try:
                code = process.wait(seconds)
                why = "" if code == 0 else _last_line(errors)
            except subprocess.TimeoutExpired:
                why = f"not done in {seconds} s"
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what it has started too
            process.wait()
        found = (
            [json.loads(each) for each in rows.read_text().splitlines()] if rows.exists() else []
        )
    if why:
        found.append({"what": "the whole part", "verdict": f"failed: {why}"})
    return [{"part": name, **row} for row in found]


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it ended without a word"


def _run_one(name: str, folder: Path, *, pretend: bool) -> None:
    with open(folder / "rows", "w", encoding="utf-8") as file:
        for row in PARTS[name].rows(Setting(folder, pretend)):
            if pretend and row["verdict"] in ("reached", "missed"):  # bars are for a card
                row["verdict"] = "measured"
            file.write(json.dumps(row) + "\n")
            file.flush()


def markdown(report: dict[str, Any]) -> str:
    """The report for people: the machine, then each figure beside its bar."""
    cards = ", ".join(gpu["name"] for gpu in report["gpus"]) or report["device"]["device_name"]
    versions = {**report["packages"], **report["kernels"]}
    lines = [
        "# Pretended on a CPU with tiny models" if report["pretended"] else f"# On {cards}",
        "",
        f"{report['when']}, {report['seconds']} s, {cards}. "
        + ", ".join(f"{name} {value}" for name, value in versions.items() if value),
        "",
        "| part | what | measured | bar | verdict |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in report["rows"]:
        cells = [row["part"], row["what"], row.get("value", ""), row.get("bar", "")]
        cells = [str(cell).replace("|", "/") for cell in [*cells, row["verdict"]]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
