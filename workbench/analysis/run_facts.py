"""What a run's record says: `workbench show` and the run's page print the same; else ABSENT."""

from collections.abc import Mapping
from typing import Any

from workbench.analysis.records import finite, get_section, get_strings, number
from workbench.formatting import ABSENT, count, duration, plural, score, share, size

Facts = list[tuple[str, str]]
Result = Mapping[str, Any]


def parameter_facts(result: Result) -> Facts:
    values = get_section(result, "parameters")
    total = number(values, "total")
    facts = [
        (name, f"{found:,.0f} ({share(found, total)} of all)")
        for name in ("trainable", "adapter", "head", "stored")
        if (found := number(values, name)) is not None
    ]
    facts.append(("total", ABSENT if total is None else f"{total:,.0f}"))
    return [*facts, ("on disk", size(number(result, "adapter_bytes")))]


def time_facts(result: Result) -> Facts:
    values = get_section(result, "time")
    phases = ("train", "warmup", "validation", "test", "total")
    steps, beside = number(values, "steps_per_second"), number(values, "measured_beside")
    others = plural(int(beside), "other run") if beside else ""
    return [
        *((name, duration(number(values, f"{name}_seconds"))) for name in phases),
        ("steps", str(values.get("steps") or "")),
        ("steps per second", ABSENT if steps is None else f"{steps:.3g}"),
        ("tokens per second", count(number(values, "tokens_per_second"))),
        ("examples seen", str(values.get("examples_seen") or "")),
        *([("measured beside", f"{others} on this device")] if others else []),
    ]


def selected_checkpoint(result: Result) -> str:
    """The state that was kept, and the score that selected it."""
    selected = get_section(result, "selected")
    if not finite(selected.get("step")):
        return ABSENT
    if (metric := selected.get("metric")) is None:  # the last state, whatever its score
        return f"step {selected['step']}, the last"
    return f"step {selected['step']}, validation {metric} {score(number(selected, 'value'))}"


def retention_facts(result: Result) -> Facts:
    """What is left of the base on the general text; nothing of runs that did not ask."""
    kept = get_section(result, "retention")
    if not kept:
        return []
    if (value := number(kept, "value")) is None:
        return [("not measured", str(kept.get("why") or ""))]
    facts = [("of the base", score(value)), ("measure", str(kept.get("measure")))]
    if (own := number(kept, "perplexity")) is not None:
        facts.append(
            ("perplexity", f"{score(own)}, the base {score(number(kept, 'base_perplexity'))}")
        )
    layers = kept.get("layers")
    if isinstance(layers, list):
        facts.append(("layers", ", ".join(score(each) for each in layers if finite(each))))
    return facts


def policy_facts(result: Result) -> Facts:
    values = get_section(result, "policy")
    device = [str(values[key]) for key in ("device", "device_name") if values.get(key)]
    names = ("precision", "attention", "dropout", "processes")
    sharing = "FSDP: weights and optimizer" if values.get("sharded") else ""
    return [
        ("device", " ".join(device)),
        *((name, str(values.get(name) or "")) for name in names),
        ("sharded", f"ZeRO {values['zero']}" if values.get("zero") else sharing),
        ("policy", str(values.get("why") or "")),
    ]


def data_facts(result: Result) -> Facts:
    data = get_section(result, "data")
    examples, features, truncated = (
        ", ".join(f"{name} {value}" for name, value in get_section(data, key).items())
        for key in ("sizes", "features", "truncated")
    )
    return [
        ("examples", examples),
        # Windows of long texts, or texts packed into windows.
        ("features", features if features != examples else ""),
        ("labels", ", ".join(get_strings(data, "labels"))),
        ("duplicates removed", str(data.get("duplicates_removed") or "")),
        ("truncated", truncated),
        *(("note", note) for note in get_strings(data, "notes")),
    ]
