"""The page that ``workbench show`` prints of one run."""

from typing import Any

from workbench.analysis.costs import forecast_lines
from workbench.analysis.records import finite, get_section, get_strings, number
from workbench.analysis.run_facts import (
    data_facts,
    parameter_facts,
    policy_facts,
    retention_facts,
    selected_checkpoint,
    time_facts,
)
from workbench.cli.output import echo, print_pairs, scores
from workbench.formatting import duration, plural, size, timed
from workbench.store import Run
from workbench.store.notes import in_words


def print_record(run: Run) -> None:
    """Prints all that is known of a run; what is not recorded is left out."""
    result = run.result
    echo(f"{run.id}: {run.state}{f' ({run.reason})' if run.reason else ''}")
    if result.get("description"):
        echo(str(result["description"]))
    if notes := in_words(run.notes):
        echo(notes)
    pairs: list[tuple[str, object]]
    pairs = [(key, run.status.get(key)) for key in ("method", "task", "model", "data", "seed")]
    print_pairs("run", [*pairs, ("fingerprint", str(run.status.get("fingerprint", ""))[:8])])
    pairs = [(split, scores(by)) for split, by in get_section(result, "metrics").items()]
    pairs.append(("selected", selected_checkpoint(result)))
    pairs += [(name, scores(by)) for name, by in get_section(result, "references").items()]
    print_pairs("scores", pairs)
    if tuning := get_section(result, "tuning"):
        spent = f"{plural(int(number(tuning, 'trials') or 0), 'trial')}, "
        spent += f"{duration(number(tuning, 'train_seconds'))} of training"
        best = scores({str(tuning.get("metric")): tuning.get("score")})
        print_pairs("tuning", [("spent", spent), ("best", f"validation {best}")])
    print_pairs("retention", retention_facts(result))
    print_pairs("parameters", parameter_facts(result))
    memory = get_section(result, "memory")
    pairs = [("peak", size(number(memory, "peak_memory_bytes")))]
    phases, parts = get_section(memory, "phases"), get_section(memory, "breakdown")
    pairs += [(f"peak in {name}", size(number(phases, name))) for name in phases]
    pairs += [(name.removesuffix("_bytes"), size(number(parts, name))) for name in parts]
    print_pairs("memory", [*pairs, ("how", memory.get("how"))])
    print_pairs("time", time_facts(result))
    _forecast(result)
    print_pairs("computed on", policy_facts(result))
    print_pairs("data", data_facts(result))
    export = get_section(result, "export")
    checked = f"{export.get('kind')}, reloads to the same outputs" if export.get("checked") else ""
    folder = run.adapter if run.adapter.is_dir() else ""
    print_pairs("adapter", [("export", checked), ("folder", folder)])
    print_pairs("files", [("folder", run.path), ("log", run.path / "log.txt")])
    if warnings := get_strings(result, "warnings"):
        echo("\nwarnings")
        for warning in warnings:
            echo(f"  ! {warning}")


def _forecast(result: dict[str, Any]) -> None:
    """What was forecast and measured, with the error in percent of the latter."""
    forecast = get_section(result, "forecast")
    pairs: list[tuple[str, object]] = [
        (name, ", ".join(texts)) for name, *texts in forecast_lines(result)
    ]
    if isinstance(between := forecast.get("seconds_per_step_range"), list):
        timings = int(number(forecast, "timings") or 0)
        pairs.append(("range of a step", timed(timings, list(filter(finite, between)))))
    pairs += [("note", note) for note in get_strings(forecast, "notes")]
    print_pairs("forecast, measured, error", pairs)
