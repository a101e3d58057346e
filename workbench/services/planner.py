"""Plans from a process that stays loaded: the second takes a second, not five."""

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil

from workbench.heavy_imports import loading_libraries
from workbench.recipe import Recipe, load_recipe
from workbench.services import WorkerClient, WorkerError
from workbench.services.protocol import Message
from workbench.services.server import Send, main


class PlannerError(WorkerError):
    kind = "not planned"


class Planner(WorkerClient):
    module = "workbench.services.planner"
    name = "the planner's process"
    error = PlannerError
    slow = "a model may still be downloading"
    smaller = "with a smaller model or batch"
    idle_seconds = 5 * 60.0  # it holds half a gigabyte

    def plan(self, recipe: Path) -> dict[str, Any]:
        """What `workbench.plan` says of the recipe in a file, or a PlannerError."""
        return self.ask({"do": "plan", "recipe": str(recipe)})

    def warm_up(self) -> None:
        """Loads the process before the first request; returns when it is loaded."""
        self.ask({"do": "warm up"})


class Plans:
    def __init__(self) -> None:
        self.closed = False

    def handle(self, request: Message, send: Send) -> Message:
        plan, cuda = _libraries()
        match request["do"]:
            case "warm up":
                return {}
            case "plan":
                try:
                    return plan(load_recipe(request["recipe"]))
                finally:
                    # A GPU that was looked at is held until the process ends.
                    self.closed = cuda.is_initialized()
        raise ValueError(f"no such request: {request['do']!r}")

    def memory(self) -> Message:
        return {"process_bytes": psutil.Process().memory_info().rss}


@cache
def _libraries() -> tuple[Callable[[Recipe], dict[str, Any]], ModuleType]:
    with loading_libraries():
        from torch import cuda

        from workbench.costs.plan import plan
    return plan, cuda


if __name__ == "__main__":
    main(Plans(), float(sys.argv[1]))
