"""The machine in one line: processor, memory, disk and GPUs, without torch."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import psutil
import streamlit as st

from layout import runs_dir
from workbench.store import memory_now
from workbench.formatting import size

GPU_SECONDS = 4
"""How long an answer of nvidia-smi is good for; asking takes a tenth of a second."""


def strip() -> None:
    """The strip; call it in a fragment that runs again and again."""
    tiles = [("CPU", f"{psutil.cpu_percent():.0f}%"), ("memory", _memory())]
    tiles += [("disk free", size(_free(runs_dir())))]
    tiles += gpus()
    with st.container(horizontal=True, gap="medium", border=True):
        for name, value in tiles:
            st.text(f"{name}  {value}", width="content")


def _memory() -> str:
    memory = memory_now()
    used = memory["total_bytes"] - memory["available_bytes"]
    return f"{size(used)} of {size(memory['total_bytes'])}"


def _free(path: Path) -> int | None:
    while not path.exists() and path != path.parent:
        path = path.parent
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return None


@st.cache_data(ttl=GPU_SECONDS, show_spinner=False)
def gpus() -> list[tuple[str, str]]:
    """Load and memory of each GPU as nvidia-smi says them; empty where there is none."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = "index,utilization.gpu,memory.used,memory.total"
    try:
        shown = subprocess.run(
            [program, f"--query-gpu={query}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=3,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpus(shown.stdout)


def parse_gpus(text: str) -> list[tuple[str, str]]:
    """The lines of nvidia-smi as names and values; a line of another form is left out."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",")]
        if len(parts) != 4 or not parts[0].isdigit():
            continue
        load = f"{parts[1]}%" if parts[1].isdigit() else "–"
        used, total = (int(p) * 2**20 if p.isdigit() else None for p in parts[2:])
        found.append((f"GPU {parts[0]}", f"{load}, {size(used)} of {size(total)}"))
    return found
