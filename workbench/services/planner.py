"""Plans from a process that stays loaded: the second takes a second, not five.

``python -m workbench.services.planner SECONDS`` is that process; a `Planner` starts it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from workbench.heavy_imports import loading_libraries
from workbench.recipe import Recipe, load_recipe
from workbench.services import WorkerClient, WorkerError
from workbench.services.protocol import Message
from workbench.services.server import Send, main


class PlannerError(WorkerError):
    """A recipe that was not planned."""

    kind = "not planned"


class Planner(WorkerClient):
    """The process that plans."""

    module = "workbench.services.planner"
    name = "the planner's process"
    error = PlannerError
    slow = "a model may still be downloading"
    smaller = "with a smaller model or batch"
    idle_seconds = 5 * 60.0  # it holds half a gigabyte

    def plan(self, recipe: Path) -> dict[str, Any]:
        """What `workbench.plan` says of the recipe in a file.

        Raises:
            PlannerError: when it says nothing.
        """
        return self.ask({"do": "plan", "recipe": str(recipe)})

    def warm_up(self) -> None:
        """Loads the process before the first request; returns when it is loaded.

        Raises:
            PlannerError: when it cannot be.
        """
        self.ask({"do": "warm up"})


class Plans:
    """Where recipes are planned."""

    def __init__(self) -> None:
        self.closed = False
        self._loaded: tuple[Callable[[Recipe], dict[str, Any]], Callable[[], bool]] | None = None

    def handle(self, request: Message, send: Send) -> Message:
        match request["do"]:
            case "warm up":
                self._load()
                return {}
            case "plan":
                return self._plan(load_recipe(request["recipe"]))
        raise ValueError(f"no such request: {request['do']!r}")

    def _plan(self, recipe: Recipe) -> dict[str, Any]:
        plan, holds_a_gpu = self._load()
        try:
            return plan(recipe)
        finally:
            self.closed = holds_a_gpu()  # a GPU that was looked at is held until the process ends

    def _load(self) -> tuple[Callable[[Recipe], dict[str, Any]], Callable[[], bool]]:
        if self._loaded is None:
            with loading_libraries():
                from torch import cuda

                from workbench.costs.plan import plan
            self._loaded = plan, cuda.is_initialized
        return self._loaded

    def memory(self) -> Message:
        return {"process_bytes": psutil.Process().memory_info().rss}


if __name__ == "__main__":
    main(Plans(), float(sys.argv[1]))
