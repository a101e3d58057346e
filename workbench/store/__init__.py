"""Run folders: the files are the database.

    runs/<study>/<recipe>-s<seed>-<fingerprint8>/
        recipe.yaml         the resolved recipe, exactly what ran
        status.json         state, reason, heartbeat, pid and its start time, progress
        environment.json    versions, device, git
        events.jsonl        one line per logged step or validation, append only
        log.txt             what the run printed
        checkpoints/        see workbench.training.checkpoints
        predictions.parquet one row per test example
        result.json         quality and cost; written last, so its presence means finished
        adapter/            the exported weights and model card

JSON files are written to a temporary name, fsynced and renamed. Readers take a folder that is
being written, is corrupt or comes from another version for what it is, and never raise.
No torch here: listing 500 runs has to take a fraction of a second.
"""

from workbench.store.files import read_json, write_json, write_text
from workbench.store.runs import (
    ACTIVE,
    DEFAULT_RUNS_DIR,
    Run,
    State,
    find_run,
    list_runs,
    process_start_time,
    read_run,
)
from workbench.store.writing import (
    HEARTBEAT_SECONDS,
    VERSION,
    RunWriter,
    SilentWriter,
    open_run,
    run_name,
    run_path,
)

__all__ = [
    "ACTIVE",
    "DEFAULT_RUNS_DIR",
    "HEARTBEAT_SECONDS",
    "VERSION",
    "Run",
    "RunWriter",
    "SilentWriter",
    "State",
    "find_run",
    "list_runs",
    "open_run",
    "process_start_time",
    "read_json",
    "read_run",
    "run_name",
    "run_path",
    "write_json",
    "write_text",
]
