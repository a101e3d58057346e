"""Whatever stands in a record of the queue, a worker or a job, who lists them raises nothing."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from tests.store.record_mutations import mutate
from workbench.jobs.job_records import JOBS_DIR, list_jobs
from workbench.jobs.worker_records import list_workers
from workbench.store import Entry, Queue, describe_process, list_runs


def _fill(runs: Path) -> list[Path]:
    queue = Queue(runs)
    fields = {"study": "s", "recipe": "n", "method": "lora", "seed": 0}
    queue.add([Entry(study="s", name="n1", recipe="a: 1", fields=fields, seed=0, added_at=1.0)])
    here = describe_process(os.getpid())
    job, worker = runs / JOBS_DIR / "20200101" / "job.json", queue.folder / "workers" / "h-1.json"
    for file in (job, worker):
        file.parent.mkdir(parents=True, exist_ok=True)
    job.write_text(json.dumps({**here, "runs": ["runs/s/n1"], "command": ["x"], "host": "h"}))
    worker.write_text(json.dumps({**here, "host": "h", "slots": ["all"], "started_at": 1.0}))
    return [*(queue.folder / "entries").iterdir(), job, worker]


def test_200_mutated_records_of_queue_worker_and_job_raise_nothing(tmp_path: Path) -> None:
    for seed in range(200):
        runs, chance = tmp_path / "runs", random.Random(seed)
        done = mutate(chance.choice(_fill(runs)), chance)
        try:
            for run in list_runs(runs):
                json.dumps(run.status, allow_nan=False)
            for job in list_jobs(runs):
                assert isinstance(job.alive, bool) and isinstance(job.pending, tuple)
            assert isinstance([worker.stopping for worker in list_workers(Queue(runs))], list)
        except Exception as error:
            raise AssertionError(f"seed {seed}, {done[:300]}") from error
        shutil.rmtree(runs)
