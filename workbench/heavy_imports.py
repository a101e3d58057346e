"""Imports of torch, transformers and peft, without their remarks."""

import gc
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def loading_libraries() -> Iterator[None]:
    """Around the imports of torch, transformers and peft.

    Loading reports and deprecation notes are addressed to whoever calls those libraries, not to
    whoever types a command; what the environment says already stays. And a million objects that
    live as long as the process are not searched for garbage, neither here nor at any time later.
    """
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    # accelerate imports DeepSpeed wherever it is installed, and that writes remarks to stdout.
    logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno >= logging.ERROR)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
