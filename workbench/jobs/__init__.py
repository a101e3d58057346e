"""Runs as processes of their own: start, watch, stop and resume them.

A job is one detached ``python -m workbench run ...`` process. It outlives whoever started it
(a closed page, a killed server), talks to nobody, and writes only files:

    runs/.jobs/<time>-<random>/
        <study>/<recipe>.yaml   the resolved recipes it was given
        job.json                pid and its start time, command line, the runs to expect
        log.txt                 what it printed, also before a run folder existed

No torch here.
"""

from workbench.jobs.launching import child_environment, resume, start
from workbench.jobs.records import Job, list_jobs, read_job, tail
from workbench.jobs.stopping import request_stop, stop

__all__ = [
    "Job",
    "child_environment",
    "list_jobs",
    "read_job",
    "request_stop",
    "resume",
    "start",
    "stop",
    "tail",
]
