"""The server's side of the playground."""

from workbench.services import WorkerClient, WorkerError


class PlaygroundError(WorkerError):
    kind = "playground"


class Playground(WorkerClient):
    """The process that keeps adapters in memory; requests are those of `Adapters`."""

    module = "workbench.services.playground_worker"
    name = "the playground's process"
    error = PlaygroundError
    slow = "the model is too slow here, or its base is still being loaded from a slow disk"
    smaller = "with a shorter text or fewer adapters"
    idle_seconds = 15 * 60.0
