"""The page that ``workbench show`` prints of one run."""

from __future__ import annotations

from typing import Any

import typer

from workbench.cli.output import print_pairs, scores
from workbench.formatting import ABSENT, count, duration, plural, share, size, timed
from workbench.store import Run


def print_record(run: Run) -> None:
    """Prints all that is known of a run; what is not recorded is left out."""
    result = run.result
    typer.echo(f"{run.id}: {run.state}{f' ({run.reason})' if run.reason else ''}")
    if result.get("description"):
        typer.echo(str(result["description"]))
    print_pairs(
        "run",
        [(key, run.status.get(key)) for key in ("method", "task", "model", "data", "seed")]
        + [("fingerprint", str(run.status.get("fingerprint", ""))[:8])],
    )
    _scores(result)
    _tuning(_section(result, "tuning"))
    _parameters(_section(result, "parameters"), result.get("adapter_bytes"))
    _memory(_section(result, "memory"))
    _time(_section(result, "time"))
    _forecast(result)
    _policy(_section(result, "policy"))
    _data(_section(result, "data"))
    export = _section(result, "export")
    checked = f"{export.get('kind')}, reloads to the same outputs" if export.get("checked") else ""
    print_pairs("adapter", [("export", checked), ("folder", _if_there(run))])
    print_pairs("files", [("folder", run.path), ("log", run.path / "log.txt")])
    warnings = result.get("warnings")
    if isinstance(warnings, list) and warnings:
        typer.echo("\nwarnings")
        for warning in warnings:
            typer.echo(f"  ! {warning}")


def _scores(result: dict[str, Any]) -> None:
    pairs: list[tuple[str, object]] = [
        (split, scores(values)) for split, values in _section(result, "metrics").items()
    ]
    selected = _section(result, "selected")
    if selected.get("step") is not None:
        metric = selected.get("metric")  # null where the last state is kept, whatever its score
        how = f"validation {scores({str(metric): selected.get('value')})}" if metric else "the last"
        pairs.append(("selected", f"step {selected['step']}, {how}"))
    pairs += [(name, scores(values)) for name, values in _section(result, "references").items()]
    print_pairs("scores", pairs)


def _tuning(values: dict[str, Any]) -> None:
    if not values:
        return
    spent = f"{plural(values.get('trials') or 0, 'trial')}, {duration(values.get('train_seconds'))}"
    score = scores({str(values.get("metric")): values.get("score")})
    print_pairs("tuning", [("spent", f"{spent} of training"), ("best", f"validation {score}")])


def _parameters(values: dict[str, Any], adapter_bytes: Any) -> None:
    total = values.get("total")

    def line(name: str) -> str:
        number = values.get(name)
        if not isinstance(number, int):
            return ""
        return f"{number:,} ({share(number, total)} of all)" if name != "total" else f"{number:,}"

    pairs: list[tuple[str, object]] = [
        (name, line(name)) for name in ("trainable", "adapter", "head", "stored", "total")
    ]
    print_pairs("parameters", [*pairs, ("on disk", size(adapter_bytes))])


def _memory(values: dict[str, Any]) -> None:
    phases = _section(values, "phases")
    parts = _section(values, "breakdown")
    pairs: list[tuple[str, object]] = [("peak", size(values.get("peak_memory_bytes")))]
    pairs += [(f"peak in {phase}", size(number)) for phase, number in phases.items()]
    pairs += [(name.removesuffix("_bytes"), size(number)) for name, number in parts.items()]
    print_pairs("memory", [*pairs, ("how", values.get("how"))])


def _time(values: dict[str, Any]) -> None:
    names = ("train", "warmup", "validation", "test", "total")
    pairs: list[tuple[str, object]] = [(n, duration(values.get(f"{n}_seconds"))) for n in names]
    speed = values.get("tokens_per_second")
    steps = values.get("steps_per_second")
    pairs += [
        ("steps", values.get("steps")),
        ("steps per second", f"{steps:.3g}" if isinstance(steps, int | float) else ABSENT),
        ("tokens per second", count(speed)),
        ("examples seen", values.get("examples_seen")),
    ]
    print_pairs("time", pairs)


def _forecast(result: dict[str, Any]) -> None:
    """What was forecast and measured, with the error in percent of the latter."""
    from workbench.analysis.costs import forecast_lines

    forecast = _section(result, "forecast")
    pairs: list[tuple[str, object]] = [
        (name, ", ".join(texts)) for name, *texts in forecast_lines(result)
    ]
    if isinstance(between := forecast.get("seconds_per_step_range"), list):
        pairs.append(("range of a step", timed(forecast.get("timings") or 0, between)))
    notes = forecast.get("notes")
    pairs += [("note", each) for each in (notes if isinstance(notes, list) else [])]
    print_pairs("forecast, measured, error", pairs)


def _policy(values: dict[str, Any]) -> None:
    device = " ".join(str(values[k]) for k in ("device", "device_name") if values.get(k))
    names = ("precision", "attention", "dropout", "processes", "why")
    shared = [("sharded", "the processes share the weights")] if values.get("sharded") else []
    if values.get("zero"):
        shared = [("zero", f"the processes share as in ZeRO {values['zero']}")]
    pairs = [("device", device), *((n, values.get(n)) for n in names), *shared]
    print_pairs("computed on", pairs)


def _data(values: dict[str, Any]) -> None:
    def numbers(key: str) -> str:
        return ", ".join(f"{name} {number}" for name, number in _section(values, key).items())

    labels = values.get("labels")
    features = numbers("features")  # windows of long texts, or texts joined to windows
    notes = values.get("notes")
    print_pairs(
        "data",
        [
            ("examples", numbers("sizes")),
            ("features", features if features != numbers("sizes") else ""),
            ("labels", ", ".join(map(str, labels)) if isinstance(labels, list) else ""),
            ("duplicates removed", values.get("duplicates_removed")),
            ("truncated", numbers("truncated")),
            *(("note", note) for note in (notes if isinstance(notes, list) else [])),
        ],
    )


def _if_there(run: Run) -> str:
    return str(run.adapter) if run.adapter.is_dir() else ""


def _section(values: dict[str, Any], key: str) -> dict[str, Any]:
    section = values.get(key)
    return section if isinstance(section, dict) else {}
