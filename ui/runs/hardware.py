"""The machine in one line: processor, memory, disk and GPUs, without torch."""

import psutil
import streamlit as st

from layout import runs_dir
from workbench.formatting import ABSENT, size
from workbench.jobs.worker_records import query_gpus
from workbench.store import memory_now
from workbench.store.disk import free_bytes

GPU_SECONDS = 4
"""How long an answer of nvidia-smi is good for; asking takes a tenth of a second."""


def strip() -> None:
    """The strip; call it in a fragment that runs again and again."""
    memory = memory_now()
    used = memory["total_bytes"] - memory["available_bytes"]
    tiles = [("CPU", f"{psutil.cpu_percent():.0f}%")]
    tiles += [("memory", f"{size(used)} of {size(memory['total_bytes'])}")]
    tiles += [("disk free", size(free_bytes(runs_dir()))), *gpus()]
    st.caption(" · ".join(f"{name} {value}" for name, value in tiles))


@st.cache_data(ttl=GPU_SECONDS, show_spinner=False)
def gpus() -> list[tuple[str, str]]:
    """Load and memory of each GPU as nvidia-smi says them; empty where there is none."""
    fields = ("index", "utilization.gpu", "memory.used", "memory.total")
    return describe_gpus(query_gpus(*fields, timeout=3))


def describe_gpus(rows: list[list[str]]) -> list[tuple[str, str]]:
    """The rows of nvidia-smi as names and values; a row of another form is left out."""
    found = []
    for row in rows:
        if len(row) == 4 and row[0].isdigit():
            load = f"{row[1]}%" if row[1].isdigit() else ABSENT
            used, total = (int(p) * 2**20 if p.isdigit() else None for p in row[2:])
            found.append((f"GPU {row[0]}", f"{load}, {size(used)} of {size(total)}"))
    return found
