"""Whether the Hugging Face Hub answers; where it does not, its libraries are told so at once.

Each of them waits in its own way: huggingface_hub (2.4) asks up to six times for each file, 10 s
each and 23 s of pauses, `datasets` and `evaluate` on top of that. So the Hub is asked one small
thing first. Without an answer the libraries' own offline mode is switched on: what is cached loads
without a wait, what is not is refused at once. Their time limits stay, so no download is cut.
"""

import os
import sys
import threading
import time
from dataclasses import dataclass, field
from types import ModuleType

ANSWER_SECONDS = 4
"""An answer takes four round trips (name, connection, TLS, request): 3 s over a satellite. A user's
own limit for the same counts instead, `PATIENCE_VARIABLE`."""
PATIENCE_VARIABLE = "HF_HUB_ETAG_TIMEOUT"
AGAIN_SECONDS = 1
"""Pause before the one other try after a refusal; a name server that stumbles is back by then."""
REMEMBERED_SECONDS = 60
"""A run asks about ten times; a process that lives for hours notices that it was connected."""

_SWITCHES = {
    "huggingface_hub.constants": ("HF_HUB_OFFLINE",),
    "datasets.config": ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"),
    "evaluate.config": ("HF_EVALUATE_OFFLINE",),
}
VARIABLE = "HF_HUB_OFFLINE"


@dataclass(kw_only=True)
class _Known:
    """What was found out last, and what was switched for it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    until: float = 0.0
    trouble: str | None = None
    switched: list[tuple[ModuleType, str]] = field(default_factory=list)
    environment: bool = False


_known = _Known()


def why_unreachable() -> str | None:
    """Why the Hub cannot be asked now; None where it answers. To be called before it is asked.

    Takes at most `ANSWER_SECONDS`, and nothing when that was asked within the last minute.
    """
    from huggingface_hub import constants

    with _known.lock:
        ours = any(module is constants for module, _ in _known.switched)
        if constants.is_offline_mode() and not ours:
            _switch_off()  # evaluate (0.4.6) does not know of the variable
            return f"{VARIABLE} or TRANSFORMERS_OFFLINE is set, so the Hub is not asked"
        if time.monotonic() >= _known.until:
            _known.trouble = _ask(constants.ENDPOINT)
            _known.until = time.monotonic() + REMEMBERED_SECONDS
            if _known.trouble is None:
                _switch_on()
        if _known.trouble is not None:
            _switch_off()  # also what was imported since
        return _known.trouble


def _ask(endpoint: str) -> str | None:
    """What is wrong with the way to the Hub.

    In a thread, because no time limit of an HTTP client covers the search for a name.
    """
    limit = float(os.environ.get(PATIENCE_VARIABLE) or ANSWER_SECONDS)
    answers: list[str | None] = []
    thread = threading.Thread(
        target=lambda: answers.append(_answer(endpoint, limit)), name="ask-hub", daemon=True
    )
    thread.start()
    thread.join(limit)
    silent = f"{endpoint} has not answered within {limit:g} s ({PATIENCE_VARIABLE}=20 waits longer)"
    return answers[0] if answers else silent


def _answer(endpoint: str, limit: float) -> str | None:
    from huggingface_hub import get_session

    trouble: str | None = None
    for pause in (AGAIN_SECONDS, 0):
        try:
            get_session().head(endpoint, timeout=limit, follow_redirects=False)
        except Exception as error:  # of the connection, the proxy, the address: all are told
            trouble = f"{endpoint} cannot be reached: {str(error) or type(error).__name__}"
            time.sleep(pause)
        else:
            return None  # whatever it says
    return trouble


def _switch_off() -> None:
    for name, attributes in _SWITCHES.items():
        module = sys.modules.get(name)
        for attribute in attributes if module else ():
            if not getattr(module, attribute):
                setattr(module, attribute, True)
                _known.switched.append((sys.modules[name], attribute))
    if VARIABLE not in os.environ:  # processes that are started now need not find out
        os.environ[VARIABLE] = "1"
        _known.environment = True


def _switch_on() -> None:
    for module, attribute in _known.switched:
        setattr(module, attribute, False)
    _known.switched.clear()
    if _known.environment:
        os.environ.pop(VARIABLE, None)
        _known.environment = False
