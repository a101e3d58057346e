"""Runs as processes of their own: start, watch, stop and resume them, one or several at a time.

A job is a small detached process that starts ``python -m workbench run ...``, waits for it and
writes down how it ended. It outlives its starter (a closed page, a killed server, a lost
ssh) and communicates through files only:

    runs/.jobs/<time>-<random>/
        <study>/<recipe>.yaml   the resolved recipes it was given
        job.json                pid and what tells it from its successors, command line, the runs
                                to expect
        log.txt                 what it printed, also before a run folder existed
    runs/.queue/                what waits (see workbench.store.queue), and who works on it

No torch here.
"""

from workbench.jobs.job_records import Job, list_jobs, read_job, tail
from workbench.jobs.launch import child_environment, resume, start, start_search
from workbench.jobs.queue_runs import enqueue, ensure_worker, start_worker, stop_workers
from workbench.jobs.ranks import end_with_launcher, run_together
from workbench.jobs.stop_run import GRACE_SECONDS, request_stop, stop
from workbench.jobs.study_worker import Wanted, run_at_once
from workbench.jobs.webhook import announce, check_webhook
from workbench.jobs.worker import work
from workbench.jobs.worker_records import (
    WHOLE_MACHINE,
    WorkerRecord,
    default_slots,
    list_workers,
    shared_slots,
)
