"""Recipe keys that were renamed, to the names that transformers and PEFT give them.

An old name in a recipe is an error that says the new one. Records of older versions (recipes of
runs and of the queue, the task of an export, checkpoints, searches) are read under the new names.
Fingerprints are still taken under the old ones: the run of a recipe is found again, resumed and
compared. Keys that came later are left out of them while they have the value that changes nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from workbench.recipe.yaml_reader import dump, read_text

KEYS = {
    "task.packed": "task.packing",
    "task.no_answer": "task.allow_no_answer",
    "task.decoding.beams": "task.decoding.num_beams",
    "method.targets": "method.target_modules",
    "method.virtual_tokens": "method.num_virtual_tokens",
    "training.warmup_fraction": "training.warmup_ratio",
    "training.schedule": "training.lr_scheduler",
    "training.evaluation_batch_size": "training.eval_batch_size",
}
"""The dotted key of today by the one that it was."""
_FIRST = {new: old for old, new in KEYS.items()}
METRICS = {"pseudo_perplexity": "masked_perplexity"}
"""Metrics; the old name is that of another one (Salazar et al. 2020)."""
VALUES = {"data.duplicates": {"refuse": "error"}, "task.metrics": METRICS, "tuning.metric": METRICS}
"""The same of values, and of what a list holds."""

ADDED: dict[str, Any] = {
    "model.resize_embeddings": False,
    "model.dtype": "auto",
    "model.quantization": "none",
    "model.quantization_skip": [],
    "model.double_quantization": False,
    "model.compute_dtype": "auto",
    "data.quoting": "auto",
    "data.separator": "auto",
    "data.normalise_labels": False,
    "data.group": None,
    "data.train_draw": "split",
    "data.split_column": None,
    "data.merge_labels": None,
    "data.unusable_rows": "error",
    "task.learn": "last",
    "training.class_weights": None,
    "training.report_to": [],
}
"""Dotted keys that the first version lacked, with the value under which a run is what it was."""

BASELINES = {"untouched base": "base model (zero-shot)"}
"""Names of scores without fine-tuning in a run's result."""
BEST = {"misses": "epochs_without_improvement"}
"""What a checkpoint says of the best state."""

LAST_PARTS = {old.rpartition(".")[2]: new.rpartition(".")[2] for old, new in KEYS.items()}


def old_names(
    values: Any, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The path of every old key or value in a recipe, its old name and what to write instead."""
    for key, value in values.items() if isinstance(values, dict) else ():
        here = (*path, str(key))
        dotted = ".".join(here)
        if dotted in KEYS:
            yield here, key, KEYS[dotted].rpartition(".")[2]
        elif isinstance(value, str) and value in VALUES.get(dotted, {}):
            yield here, f"{key}: {value}", f"{key}: {VALUES[dotted][value]}"
        elif isinstance(value, list) and dotted in VALUES:
            for old in VALUES[dotted].keys() & {each for each in value if isinstance(each, str)}:
                yield here, old, VALUES[dotted][old]
        yield from old_names(value, here)


def as_today(values: Mapping[str, Any]) -> dict[str, Any]:
    """A stored recipe, or some of its sections, under the names of today."""
    found = _mapped(values, KEYS, VALUES)
    if isinstance(tuning := found.get("tuning"), dict) and isinstance(tuning.get("search"), dict):
        tuning["search"] = flat_as_today(tuning["search"])
    return found


def flat_as_today(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same for values by dotted key, such as the conditions of a checkpoint."""
    return {
        KEYS.get(key, key): _renamed(value, VALUES.get(key, {})) for key, value in values.items()
    }


def result_as_today(result: Mapping[str, Any]) -> dict[str, Any]:
    """A stored result: the names of its metrics and baselines, and the keys searched over."""
    found = dict(result)
    for section in ("metrics", "references"):
        if isinstance(scores := found.get(section), dict):
            found[section] = {BASELINES.get(n, n): scores_as_today(s) for n, s in scores.items()}
    if isinstance(selected := found.get("selected"), dict):
        found["selected"] = _mapped(selected, {}, {"metric": METRICS})
    if isinstance(tuning := found.get("tuning"), dict) and isinstance(tuning.get("search"), dict):
        found["tuning"] = tuning | {"search": flat_as_today(tuning["search"])}
    return found


def scores_as_today(scores: Any) -> Any:
    """Stored scores by the name of their metric."""
    if not isinstance(scores, dict):
        return scores
    return {METRICS.get(name, name): score for name, score in scores.items()}


def metric_as_first_written(name: str) -> str:
    return next((old for old, new in METRICS.items() if new == name), name)


def search_as_today(document: Mapping[str, Any]) -> dict[str, Any]:
    """A stored search: the keys of its space and of what its trials have tried."""
    found = dict(document)
    if isinstance(found.get("search"), dict):
        found["search"] = flat_as_today(found["search"])
    if isinstance(found.get("best"), dict):
        found["best"] = _trial_as_today(found["best"])
    if isinstance(found.get("trials"), list):
        found["trials"] = [_trial_as_today(each) for each in found["trials"]]
    return found


def _trial_as_today(trial: Any) -> Any:
    if not isinstance(trial, dict) or not isinstance(trial.get("values"), dict):
        return trial
    return trial | {"values": flat_as_today(trial["values"])}


def best_as_today(best: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored checkpoint says of the best state."""
    return {BEST.get(name, name): value for name, value in best.items()}


def flat_as_first_written(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted key under the keys of the first version."""
    return {_FIRST.get(key, key): value for key, value in values.items()}


def as_first_written(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same values under the names of the first version."""
    back = {key: {new: old for old, new in pairs.items()} for key, pairs in VALUES.items()}
    return _mapped(values, _FIRST, back)


def as_hashed(values: Mapping[str, Any]) -> dict[str, Any]:
    """What hashes are taken of: names of the first version, and only the keys that it would have
    needed to do the same."""
    return as_first_written(_without_added(values))


def _without_added(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    return {
        key: _without_added(value, f"{before}{key}.") if isinstance(value, dict) else value
        for key, value in values.items()
        if f"{before}{key}" not in ADDED or value != ADDED[f"{before}{key}"]
    }


def text_as_today(text: str) -> str:
    """The YAML of a stored recipe under the names of today; as it is where it cannot be read."""
    document, problems = read_text(text, "recipe.yaml")
    if problems or (values := as_today(document.values)) == document.values:
        return text
    return dump(values)


def _mapped(
    values: Mapping[str, Any],
    keys: Mapping[str, str],
    of_values: Mapping[str, Mapping[str, str]],
    before: str = "",
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        dotted = f"{before}{key}"
        if isinstance(value, dict):
            value = _mapped(value, keys, of_values, f"{dotted}.")
        else:
            value = _renamed(value, of_values.get(dotted, {}))
        found[keys[dotted].rpartition(".")[2] if dotted in keys else key] = value
    return found


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A value, or each of a list, under its other name."""
    if isinstance(value, list):
        return [_renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value
