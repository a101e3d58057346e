"""Telling an address of the user's that runs have ended, as ``WORKBENCH_WEBHOOK`` asks.

The address comes from the environment alone: no recipe, link or record can choose it, and as
others can post to whoever has it, it is nowhere repeated.
"""

import json
import os
from collections import Counter
from collections.abc import Sequence
from http.client import HTTPException
from threading import Thread
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from workbench.errors import UsageError
from workbench.redact import without_secrets
from workbench.store import Run

VARIABLE = "WORKBENCH_WEBHOOK"
TIMEOUT_SECONDS = 10
MOST_RUNS = 50
MOST_REASON = 300
HERE = ("localhost", "127.0.0.1", "::1")


class _NoRedirect(HTTPRedirectHandler):
    """A redirect might lead from https to anywhere."""

    def redirect_request(self, *_args: Any, **_named: Any) -> None:
        return None


def check_webhook() -> str:
    """The address that is told; empty without one.

    Raises:
        UsageError: when it is neither https nor of this machine.
    """
    address = os.environ.get(VARIABLE, "").strip()
    if not address:
        return ""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  a port that is no number is found here
    except ValueError:
        parts = urlsplit("")
    if any(each.isspace() for each in address):
        parts = urlsplit("")
    if not parts.hostname or (
        parts.scheme != "https"
        and (parts.scheme, parts.hostname) not in {("http", h) for h in HERE}
    ):
        why = "what runs say would cross the network in the clear, or it is no address"
        fix = "give an https:// address, or http:// on localhost"
        raise UsageError(f"{VARIABLE} cannot be used", why=why, fix=fix)
    return address


def announce(runs: Sequence[Run]) -> str | None:
    """Tells what became of some runs; returns why that failed, if it did."""
    if not (address := check_webhook()) or not runs:
        return None
    body = json.dumps(message(runs)).encode()
    request = Request(address, body, {"Content-Type": "application/json"}, method="POST")
    here = urlsplit(address).hostname
    said: list[str] = []
    # The time limit of a connection is one for each read, which a slow server never reaches.
    thread = Thread(target=lambda: said.append(_post(request, here)), daemon=True)
    thread.start()
    thread.join(TIMEOUT_SECONDS)
    why = said[0] if said else f"no answer within {TIMEOUT_SECONDS} s"
    return f"{VARIABLE}: {here} was not told that the runs have ended: {why}" if why else None


def _post(request: Request, host: str | None) -> str:
    """Why a request was not taken; empty when it was."""
    handlers = [_NoRedirect(), *([ProxyHandler({})] if host in HERE else [])]
    try:
        with build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS):
            return ""
    except HTTPError as error:
        return f"it answered {error.code}"
    except URLError as error:
        return str(error.reason)
    except (OSError, HTTPException, ValueError) as error:
        return type(error).__name__


def message(runs: Sequence[Run]) -> dict[str, Any]:
    """What is posted: ``text`` for chat services, and the runs for programs."""
    states = Counter(run.state for run in runs)
    counted = ", ".join(f"{count} {state}" for state, count in states.most_common())
    studies = sorted({run.path.parent.name for run in runs})
    text = f"{', '.join(studies[:5])}: {len(runs)} run{'s' * (len(runs) != 1)} ended, {counted}"
    told = [
        {
            "id": run.id,
            "state": run.state,
            "reason": without_secrets(run.reason)[:MOST_REASON],
            "metrics": _numbers(run.result.get("metrics")),
        }
        for run in runs[:MOST_RUNS]
    ]
    return {"text": text, "runs": told}


def _numbers(metrics: Any) -> dict[str, float]:
    test = metrics.get("test") if isinstance(metrics, dict) else None
    found = test if isinstance(test, dict) else {}
    return {name: value for name, value in found.items() if value == value and value is not None}
