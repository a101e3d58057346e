"""What a recipe trains and takes, from a process that stays loaded while somebody plans.

Counting needs the model's shape and so torch, which this server never loads. Plans are kept for
as long as the server lives, by fingerprint.
"""

from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import streamlit as st

from layout import plain
from run_cli import recipe_file
from workbench.assets.cache import state
from workbench.errors import WorkbenchError
from workbench.formatting import count as short
from workbench.formatting import duration, share, size, timed
from workbench.recipe import Recipe
from workbench.recipe.sources import ASSET_PREFIX
from workbench.services.planner import Planner as PlanningProcess
from workbench.services.planner import PlannerError

_ASKED = "plan-asked"


class Planner:
    """Plans in the background, one at a time; who changes the form again does not wait."""

    def __init__(self) -> None:
        self._answers: dict[str, dict[str, Any] | WorkbenchError] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="planner")
        self._process = PlanningProcess()

    def answer(self, recipe: Recipe) -> dict[str, Any] | WorkbenchError | None:
        """The plan of a recipe, or why there is none; None while nobody knows."""
        return self._answers.get(recipe.fingerprint)

    def ask(self, recipe: Recipe, page: MutableMapping[str | int, Any]) -> None:
        """Begins to plan a recipe, unless the page waits for it already.

        Args:
            page: the state of the page that asks; what it asked for before, and nobody has begun,
                is given up.
        """
        asked, future = page.get(_ASKED, ("", None))
        if future is not None and asked == recipe.fingerprint and not future.done():
            return
        if future is not None:
            future.cancel()
        page[_ASKED] = recipe.fingerprint, self._thread.submit(self._work, recipe)

    def forget(self, recipe: Recipe) -> None:
        self._answers.pop(recipe.fingerprint, None)

    def unload(self) -> None:
        """Ends the process that plans, and frees its memory, unless somebody waits for it."""
        if not self._process.waiting:
            self._process.unload()

    def _work(self, recipe: Recipe) -> None:
        if self.answer(recipe) is not None:  # another page has asked for the same
            return
        answer: dict[str, Any] | WorkbenchError
        try:
            with recipe_file(recipe) as file:
                answer = self._process.plan(file)
        except PlannerError as error:
            answer = error
        except OSError as error:  # a full disk, say
            answer = PlannerError(f"cannot be handed over: {error}", fix="try again")
        self._answers[recipe.fingerprint] = answer
        # Where a GPU was looked at the process has ended, and the next plan would wait for one;
        # that plan says what is wrong.
        self._thread.submit(self._process.warm_up)


@st.cache_resource(show_spinner=False)
def planner() -> Planner:
    return Planner()


def is_at_hand(recipe: Recipe) -> bool:
    """True when planning a recipe fetches nothing: its model and data lie on this machine."""
    sources = (recipe.model.source, recipe.data.source)
    return all(
        state(source.removeprefix(ASSET_PREFIX)) == "cached"
        if source.startswith(ASSET_PREFIX)
        else Path(source).expanduser().exists()
        for source in sources
    )


def show(found: dict[str, Any]) -> None:
    """Draws a plan: what is trained and stored, memory by component, whether it fits, time."""
    trainable, total = found.get("trainable_parameters"), found.get("total_parameters")
    left, right = st.columns(2)
    left.metric("trainable", short(trainable), help=f"{trainable:,}" if trainable else None)
    right.metric("of the model", share(trainable, total))
    left.metric("method", short(found.get("adapter_parameters")))
    right.metric("task head", short(found.get("head_parameters")))
    if found.get("adapter_bytes") is not None:
        left.metric("adapter file", size(found["adapter_bytes"]))
    if found.get("train_seconds") is not None:
        steps = found.get("steps")
        right.metric(
            "training time",
            duration(found["train_seconds"]),
            help=f"{steps:,} steps on this device, without validation and test" if steps else None,
        )
    if found.get("peak_memory_bytes") is not None:
        _show_memory(found, left, right)
    if found.get("train_seconds") is not None:
        rests_on = timed(found["timings"], found["train_seconds_range"])
        st.caption(f"training time {rests_on}")
    for note in found.get("notes") or ():
        st.caption(plain(note))


def _show_memory(found: dict[str, Any], left: Any, right: Any) -> None:
    left.metric("peak memory", size(found["peak_memory_bytes"]))
    largest = found.get("largest_batch_size")
    bound = "at least " if found.get("largest_batch_is_lower_bound") else ""
    right.metric(
        "largest batch",
        "none" if largest is None else f"{bound}{largest:,}",
        help="Examples per forward pass that fit into the free memory of this device.",
    )
    parts = found.get("memory") or {}
    named = [f"{key.removesuffix('_bytes')} {size(value)}" for key, value in parts.items() if value]
    st.caption(plain(", ".join(named)))
    if found.get("fits") is False:
        st.warning(
            f"It does not fit: {size(found.get('free_memory_bytes'))} are free on this device. "
            "Set training.micro_batch_size or gradient_checkpointing."
        )
