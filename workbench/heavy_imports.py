"""Imports of torch, transformers and peft, without their remarks."""

import atexit
import ctypes
import gc
import logging
import os
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

CACHES = ("HF_DATASETS_CACHE", "HF_EVALUATE_CACHE", "HF_METRICS_CACHE", "HF_MODULES_CACHE")
"""Folders that Hugging Face's libraries make even for what they compute in memory."""
_M_ARENA_MAX = -8


@contextmanager
def loading_libraries() -> Iterator[None]:
    """Around the imports of torch, transformers and peft.

    Loading reports and deprecation notes are addressed to whoever calls those libraries, not to
    whoever types a command; what the environment says already stays. And a million objects that
    live as long as the process are not searched for garbage, neither here nor at any time later.
    """
    one_arena()
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    _give_libraries_a_cache()
    warnings.filterwarnings("ignore", category=FutureWarning)
    # accelerate imports DeepSpeed wherever it is installed, and that writes remarks to stdout.
    logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno >= logging.ERROR)
    # peft imports bitsandbytes wherever it is installed, and that remarks on what it lacks and on
    # each layer, and takes code from the Hub where the package `kernels` is installed.
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    sys.modules.setdefault("kernels", None)  # type: ignore[arg-type]
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def one_arena() -> None:
    """Makes threads that start from now on share glibc's main heap, as long as no other was made.

    What the last block of a thread's own arena leaves free stays resident until somebody frees
    something there: 27 MB after a tokenizer that used an arena which the libraries' threads had
    made, counted as in use before a run and given back in the middle of it, so that head on
    SmolLM2-135M measured 5% too little.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "mallopt"):
            libc.mallopt(_M_ARENA_MAX, 1)


def _give_libraries_a_cache() -> None:
    """Where their own folder cannot be written to, one that goes with this process."""
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(caches, "huggingface")
    with suppress(OSError, RuntimeError):  # a user without a home
        folder = Path(home).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return
    if missing := [name for name in CACHES if name not in os.environ]:
        place = mkdtemp(prefix="workbench-cache-")
        atexit.register(shutil.rmtree, place, ignore_errors=True)
        os.environ |= {name: os.path.join(place, name) for name in missing}
