"""Rules between the task and everything else: its metrics, columns, labels, model and method."""

from collections.abc import Iterator

from workbench.assets import ASSETS, Asset
from workbench.recipe.base import Finding, repeated
from workbench.recipe.catalogue import (
    HUB_METRIC_PREFIX,
    METRICS,
    MULTI,
    REGRESSION,
    SINGLE,
    hub_id,
    needs_generation,
)
from workbench.recipe.schema import Recipe
from workbench.recipe.sources import ASSET_PREFIX, is_conll, is_hub_id, is_separated, is_table
from workbench.recipe.suggest import choice, shown
from workbench.recipe.tasks import TASK_SPECS, Family, Rest, TaskSpec

_TASK = (("task", "name"),)
_PROBLEM_TYPE = (("task", "problem_type"),)


def task_findings(recipe: Recipe) -> list[Finding]:
    """Everything about a recipe that its task cannot do."""
    model, asset = recipe.model, _asset(recipe.model.source)
    family = asset.family if asset else None
    rest = Rest(model.source, family, model.max_length, recipe.method.name)
    return [
        *_metrics(recipe),
        *_labels(recipe),
        *_class_weights(recipe),
        *_columns(recipe),
        *_format(recipe),
        *_model(recipe),
        *_new_head(recipe),
        *recipe.task.findings(rest),
    ]


def _metrics(recipe: Recipe) -> Iterator[Finding]:
    task, kind = recipe.task, recipe.task.kind
    fitting = [name for name, metric in METRICS.items() if kind in metric.kinds]
    classifies = _has_problem_type(task)
    others = _PROBLEM_TYPE if classifies else _TASK
    for index, name in enumerate(task.metrics):
        path = ("task", "metrics", index)
        if name.startswith(HUB_METRIC_PREFIX):
            if not is_hub_id(hub_id(name)):
                fix = "write hub:NAME, e.g. hub:accuracy, or hub:NAME:lower for an error"
                yield Finding(path, f"found {shown(name)}", fix)
            elif not task.hub_metrics:
                what = f"{task.name} gives no answers that a Hub metric could compare"
                yield Finding(path, what, f"one of: {', '.join(fitting)}", others)
        elif name not in METRICS:
            yield Finding(path, f"no metric called {shown(name)}", choice(name, fitting))
        elif name not in fitting:
            what = f"{name} does not fit {f'problem_type {kind}' if classifies else task.name}"
            yield Finding(path, what, f"one of: {', '.join(fitting)}", others)
    yield from repeated(("task", "metrics"), task.metrics)
    yield from _selecting(recipe)


def _selecting(recipe: Recipe) -> Iterator[Finding]:
    """The first metric selects the best adapter, so validation has to be able to compute it."""
    task, data = recipe.task, recipe.data
    has_validation = data.validation_size is not None or (data.splits and data.splits.validation)
    has_validation = has_validation or data.split_column
    if not task.writes or not task.metrics or not has_validation:
        return
    first = task.metrics[0]
    if needs_generation(first):
        fitting = [name for name, metric in METRICS.items() if task.kind in metric.kinds]
        likely = [name for name in fitting if not needs_generation(name)]
        what = f"the first metric selects the best adapter, and {first} needs generated text, "
        what += "which is made for the test split only"
        fix = f"put one of these first: {', '.join(likely)}"
        yield Finding(("task", "metrics", 0), what, fix, _TASK)


def _labels(recipe: Recipe) -> Iterator[Finding]:
    labels = getattr(recipe.task, "labels", None)
    if labels is None:
        return
    yield from repeated(("task", "labels"), labels)
    if recipe.task.kind == REGRESSION:
        fix = "remove it, or choose another problem_type"
        yield Finding(("task", "labels"), "a regression has no labels", fix, _PROBLEM_TYPE)


def _class_weights(recipe: Recipe) -> Iterator[Finding]:
    """Weights need classes, and names that are among the labels where the recipe lists these."""
    task, wanted = recipe.task, recipe.training.class_weights
    if wanted is None:
        return
    path = ("training", "class_weights")
    if not task.has_classes:
        kind = f"problem_type {task.kind}" if _has_problem_type(task) else task.name
        what = f"{kind} has no classes to weight, each example being of one"
        yield Finding(path, what, "remove it", (*_TASK, *_PROBLEM_TYPE))
    if getattr(task, "lm_weight", 0):
        what = "not with task.lm_weight, whose second loss has no classes"
        yield Finding(path, what, "remove one of them", (("task", "lm_weight"),))
    labels = getattr(task, "labels", None)
    if isinstance(wanted, dict) and labels:
        for name in (name for name in wanted if name not in labels):
            what = f"no label called {shown(name)} in task.labels"
            yield Finding(path, what, choice(name, labels), (("task", "labels"),))


def _columns(recipe: Recipe) -> Iterator[Finding]:
    task, data = recipe.task, recipe.data
    if isinstance(data.label, list):
        if task.kind != MULTI:
            fix = f"name one column, or set task.problem_type: {MULTI}"
            what = f"several label columns, but problem_type is {task.kind}"
            others = _PROBLEM_TYPE
            if not _has_problem_type(task):
                what, fix, others = f"several columns, and {task.name} reads one", "name one", _TASK
            yield Finding(("data", "label"), what, fix, others)
        yield from repeated(("data", "label"), data.label)
    if task.second_text == "required" and data.text_pair is None:
        what = f"{task.name} needs the column with the questions"
        yield Finding(("data", "text_pair"), what, "name it, e.g. text_pair: question", _TASK)
    elif task.second_text == "unread" and data.text_pair is not None:
        what = f"{task.name} reads no second text"
        yield Finding(("data", "text_pair"), what, "remove it", _TASK)
    if data.text_pair == data.text:
        what = f"the same column as data.text ({shown(data.text)})"
        yield Finding(("data", "text_pair"), what, "name the second text's column, or remove it")
    if task.label != "unread":
        columns = [data.label] if isinstance(data.label, str) else data.label
        for text in {data.text, data.text_pair} & set(columns):
            what = f"column {shown(text)} is also the text"
            yield Finding(("data", "label"), what, "name another")


def _format(recipe: Recipe) -> Iterator[Finding]:
    """Formats that cannot hold what the task reads."""
    task, source = recipe.task, recipe.data.source
    path = ("data", "source")
    if is_conll(source):
        if not task.words:
            tagging = next(name for name, spec in TASK_SPECS.items() if spec.words)
            what = f"{shown(source)} holds words with tags, for {tagging}"
            yield Finding(path, what, f"use a file with the columns of {task.name}", _TASK)
    for key, does in (("quoting", "are quoted"), ("separator", "have separators")):
        if getattr(recipe.data, key) != "auto" and is_table(source) and not is_separated(source):
            what = f"only csv and tsv files {does}; the source is {shown(source)}"
            yield Finding(("data", key), what, "remove it", (path,))
    named = "labels" in type(task).model_fields and task.kind != REGRESSION
    if recipe.data.normalise_labels and not named:
        what = "the answers here are no labels with names"
        yield Finding(("data", "normalise_labels"), what, "remove it", _TASK)
    if recipe.data.merge_labels and task.kind != SINGLE:
        what = "only labels of which each text has one can be merged"
        yield Finding(("data", "merge_labels"), what, "remove it", (*_TASK, *_PROBLEM_TYPE))
    asset = _asset(source)
    if asset and asset.kind == "data" and not task.embedded_data:
        what = f"{source} holds nothing that {task.name} could learn"
        yield Finding(path, what, "use data of your own, or of the Hub", _TASK)


def _model(recipe: Recipe) -> Iterator[Finding]:
    families, source = recipe.task.families, recipe.model.source
    asset = _asset(source)
    if asset and asset.family and asset.family not in families:
        needed = " or ".join(map(_with_article, families))
        what = f"{source} is {_with_article(asset.family)}, and {recipe.task.name} needs {needed}"
        fitting = [f"{ASSET_PREFIX}{name}" for name, a in ASSETS.items() if a.family in families]
        yield Finding(("model", "source"), what, f"one of: {', '.join(fitting)}", _TASK)


def _asset(source: str) -> Asset | None:
    """The embedded model or data of that name; what any other is shows when it is loaded."""
    prefixed = source.startswith(ASSET_PREFIX)
    return ASSETS.get(source.removeprefix(ASSET_PREFIX)) if prefixed else None


def _with_article(family: Family) -> str:
    return f"an {family}" if family == "encoder" else f"a {family}"


def _new_head(recipe: Recipe) -> Iterator[Finding]:
    """Without a new head to train, some methods train nothing at all."""
    task, method, source = recipe.task, recipe.method, recipe.model.source
    if task.new_head:
        return
    if method.name == "head":
        what = f"{task.name} brings no new head, so nothing would be trained"
        fix = "the nearest that work: bitfit on models with biases, or lora"
        yield Finding(("method", "name"), what, fix, _TASK)
    asset = _asset(source)
    if method.name == "bitfit" and asset and not asset.biases:
        what = f"{source} has no bias terms and {task.name} brings no new head, so nothing would "
        what += "be trained"
        others = (*_TASK, ("model", "source"))
        yield Finding(("method", "name"), what, "the nearest that works: lora", others)


def _has_problem_type(task: TaskSpec) -> bool:
    return "problem_type" in type(task).model_fields
