"""Run folders: the files are the database.

    runs/<study>/<recipe>-s<seed>-<fingerprint8>/
        recipe.yaml         the resolved recipe, exactly what ran
        status.json         state, reason, heartbeat, pid and its start time, progress
        environment.json    versions, device, git
        events.jsonl        one line per logged step or validation, append only
        log.txt             what happened and when, and what the run printed
        notes.json          name, tags and notes that people gave it, where they did
        checkpoints/        see workbench.training.checkpoint_files
        predictions.parquet one row per test example, and what each baseline answers to it
        result.json         quality and cost; written last, so its presence means finished
        adapter/            the exported weights and model card

Readers take a folder that is being written, is corrupt or comes from another version for what it
is, and never raise. No torch here: listing 500 runs has to take a fraction of a second.
"""

from workbench.store.exit_reasons import count_oom_kills, kill_reason, memory_now
from workbench.store.files import (
    atomic_write,
    drop_folder,
    make_folder,
    open_regular,
    publish,
    publish_folder,
    read_json,
    read_record,
    read_whole,
    stat_key,
    sync,
    write_json,
    write_text,
)
from workbench.store.locks import lock_of
from workbench.store.processes import (
    describe_process,
    find_process,
    is_alive,
    launcher_of_this_process,
    process_start_time,
)
from workbench.store.queue import QUEUE_DIR, Entry, Queue
from workbench.store.run_folder import (
    delete_run,
    describe_run,
    open_run,
    record_death,
    run_name,
    run_path,
)
from workbench.store.run_writer import (
    HEARTBEAT_SECONDS,
    VERSION,
    RunWriter,
    SilentWriter,
)
from workbench.store.runs import (
    ACTIVE,
    BESIDE_VARIABLE,
    DEFAULT_RUNS_DIR,
    JOB_VARIABLE,
    RESUMABLE,
    Run,
    State,
    find_run,
    list_runs,
    read_run,
)
