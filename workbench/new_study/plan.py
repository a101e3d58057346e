"""What a new study will take, and what it can show: lengths, time, memory, differences."""

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from workbench.comparison.items import ItemScores
from workbench.comparison.power import sees
from workbench.comparison.testing import Difference, several_runs
from workbench.data.examples import Data
from workbench.errors import MethodError
from workbench.formatting import plural
from workbench.heavy_imports import loading_libraries
from workbench.new_study.draft import Draft, lengths, with_methods
from workbench.new_study.questions import Reason
from workbench.recipe import Recipe
from workbench.recipe.catalogue import METRICS

TOKENS = (32, 64, 128, 256, 512)
"""Texts that are cut are cut at one of these."""
MEASURED = 2000
"""Completions whose length is taken."""
MOST_NEW = 256
WHOLE = 0.95
"""Share of the training texts that are read whole, where the model takes such lengths."""
ALONE, TEXTS, BOTH = 0.00003, 0.024, 0.05
"""How scores vary, before there are any, as those of LoRA and prefix tuning in `quickstart` (forty
training texts, an accuracy of 0.9): variance of a seed on endless texts, of the difference between
two methods by text, and of what belongs to a seed and a text together, both sides of it."""


def complete(draft: Draft, data: Data) -> tuple[Draft, list[str]]:
    """The draft with what the rows decide: tokens that are read of a text, passes over the data,
    what each method starts from. And what there is to know of the texts as the model reads them.

    Raises:
        WorkbenchError: when model, method or texts do not work out.
    """
    with loading_libraries():
        from workbench.pipeline.inspect_data import inspect_data
    found = inspect_data(draft.recipes()[0])
    draft = lengths(draft, len(data.train))
    draft = with_methods(draft, len(data.train))
    seen = found["lengths"]
    shared = getattr(draft.recipes()[0].task, "stride", 0)  # of neighbouring windows, which move on
    fitting = (n for n in TOKENS if n > shared and _share(seen, n) >= WHOLE)
    wanted = next(fitting, TOKENS[-1])
    limit = _longest(draft, data, wanted)
    cut = "" if limit == wanted else ", as many as the model takes"
    why = f"half of the training texts have {seen['median']:.0f} or fewer, the longest "
    reason = Reason("max_length", f"{limit} tokens", f"{why}{seen['longest']:,}{cut}")
    draft = draft.with_value("model", reason, limit)
    return _with_room_to_write(draft, data), found["notes"]


def _with_room_to_write(draft: Draft, data: Data) -> Draft:
    """The draft with as many new tokens as nearly all completions have."""
    recipe = draft.recipes()[0]
    if not recipe.task.writes:
        return draft
    with loading_libraries():
        from workbench.models import load_tokenizer
    completions = list(data.train.labels[:MEASURED])
    sizes = sorted(map(len, load_tokenizer(recipe.model)(completions)["input_ids"]))
    usual = sizes[math.ceil(WHOLE * len(sizes)) - 1]
    tokens = min(MOST_NEW, 8 * math.ceil((usual + 1) / 8))
    why = f"{WHOLE:.0%} of the completions have at most {usual:,}"
    reason = Reason("decoding", f"{tokens} new tokens", why)
    return draft.with_value("task", reason, {"max_new_tokens": tokens})


def _share(seen: Mapping[str, Any], tokens: int) -> float:
    """Share of the texts that have at most so many tokens."""
    if seen["longest"] <= tokens:
        return 1.0
    texts = sum(part["texts"] for part in seen["histogram"] if part["high"] <= tokens)
    return float(texts / seen["measured"])


def _longest(draft: Draft, data: Data, wanted: int) -> int:
    """As many tokens as the model takes behind the longest prompt of any method."""
    with loading_libraries():
        from workbench.models import check_positions, empty_base
        from workbench.tasks import make_task
    recipes = draft.recipes()
    prompt = max(recipe.method.prompt_length for recipe in recipes)
    base = empty_base(recipes[0].model, make_task(recipes[0].task, data.label_names))
    tried = sorted({wanted, *(n for n in TOKENS if n < wanted)}, reverse=True)
    for tokens in [t for n in tried for t in (n, n - prompt) if t > 0]:
        try:
            check_positions(base, tokens, prompt)
        except MethodError:
            continue
        return tokens
    return tried[-1]


def plans(recipes: Sequence[Recipe]) -> list[dict[str, Any]]:
    """What each recipe takes, as `workbench plan` says it."""
    with loading_libraries():
        from workbench.costs.plan import plan
    return [plan(recipe) for recipe in recipes]


def detectable(metric: str, seeds: int, items: int) -> float | None:
    """The difference between two methods that a study of this size shows in 4 of 5 cases; None
    where nobody can tell before there are scores."""
    known = metric in METRICS and METRICS[metric].is_share and metric in BY_ITEM
    if seeds < 2 or not known:
        return None
    found = _as_known()
    low, high = 0.0, 1.0
    if not sees(found, high, seeds, items):
        return None
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (low, middle) if sees(found, middle, seeds, items) else (middle, high)
    return high


@cache
def _as_known() -> Difference:
    """A difference whose scores vary as is known of others, with enough of both to tell that."""
    seeds, texts = 30, 2000
    draw = np.random.default_rng(0)

    def drawn(share: float, *shape: int) -> np.ndarray:
        values = draw.normal(size=shape)
        scaled: np.ndarray = (values - values.mean()) / values.std() * math.sqrt(share)
        return scaled

    def side() -> ItemScores:
        values = 0.9 + drawn(ALONE, seeds, 1) + drawn(TEXTS / 2, 1, texts)
        values = values + drawn(BOTH / 2, seeds, texts)
        ids = tuple(map(str, range(texts)))
        return ItemScores(values=values, ids=ids, right_or_wrong=False)

    return several_runs(side(), side())


BY_ITEM = frozenset({"accuracy", "exact_match", "answer_f1"})
"""Shares that are means over the test texts."""


def what_it_shows(draft: Draft, data: Data) -> str:
    """What the study can detect, in a sentence."""
    recipe, seeds, texts = draft.recipes()[0], len(draft.choices.seeds), len(data.test)
    metric = recipe.task.score_names[0]
    size = f"{plural(seeds, 'seed')} and {plural(texts, 'test text')}"
    if seeds < 2:
        return f"{size} say nothing about methods, only about these adapters; 3 seeds do"
    found = detectable(metric, seeds, texts)
    if found is None:
        return f"what {size} can show in {metric} is not known before there are scores"
    points = f"{100 * found:.0f} points of {metric} or more"
    grouped = ""
    if data.test.groups is not None:
        groups = plural(len(set(data.test.groups)), "group")
        grouped = f" at best, as texts in {groups} say less the more alike those of a group are;"
    assumed = "if scores vary as in quickstart; the comparison says it from yours"
    return f"{size} show differences of {points} in 4 of 5 cases,{grouped} {assumed}"
