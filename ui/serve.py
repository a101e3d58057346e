"""Serves the app to whoever has the link that the command prints, and to nobody else.

`workbench ui` starts this file with `streamlit run`, which finds ``app`` in it.
"""

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote, urlencode

import streamlit as st
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from workbench.cli.output import echo
from workbench.cli.ui_server import TOKEN_VARIABLE

HOST = re.compile(r"(\[[\da-f:.]+\]|[\w.-]+)(?::(\d+))?", re.IGNORECASE | re.ASCII)
HEALTH = "/_stcore/health"
"""Says that a server runs, and nothing else; open to those who watch over servers."""
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>PEFT workbench</title>
<body style="font:16px/1.5 sans-serif;max-width:36em;margin:4em auto;padding:0 1em">
<h1>Not opened</h1><p>{}</p></body></html>"""
NO_TOKEN = """Open the link that `workbench ui` printed when this server started; links of earlier
starts are no longer valid."""
LED_HERE = """</p><p>This browser has opened it already, and another page led you here?
<a href="">Open this page</a>."""
WRONG_HOST = """This server does not answer under the name in the address. Open the link that
`workbench ui` printed when it started."""
WRONG_ORIGIN = "A page of another site may not ask this server."


class Gate:
    """Lets through who brings the token, by a name of this server, from a page of its own.

    The token comes once, in the link; from then on the browser sends a cookie made of it.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token
        self._secret = hashlib.sha256(f"cookie {token}".encode()).hexdigest()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = "frame-ancestors 'none'"
                headers["X-Frame-Options"] = "DENY"
                headers["Referrer-Policy"] = "same-origin"
            await send(message)

        answer = self._answer(HTTPConnection(scope))
        if answer is None:
            await self._app(scope, receive, send_unframed)
        elif scope["type"] == "websocket":
            await WebSocketClose()(scope, receive, send)
        else:
            await answer(scope, receive, send_unframed)

    def _answer(self, asked: HTTPConnection) -> Response | None:
        """What is answered in the app's place; None where the app may answer."""
        host, origin = asked.headers.get("host", ""), asked.headers.get("origin")
        parts = HOST.fullmatch(host)
        if parts is None or not _is_own_name(parts[1].strip("[]").lower()):
            return _refusal(asked, 403, WRONG_HOST)
        if asked.scope["path"] == f"{_base_path()}{HEALTH}":
            return None
        own = (f"http://{host}", f"https://{host}", *st.get_option("server.corsAllowedOrigins"))
        if origin is not None and origin not in own:
            return _refusal(asked, 403, WRONG_ORIGIN)
        cookie = f"workbench-{parts[2] or 'ui'}"  # a browser has one set of cookies for all ports
        known = _same(asked.cookies.get(cookie), self._secret)
        is_page = asked.scope["type"] == "http"
        given = asked.query_params.get("token") if is_page else None
        if not known and not _same(given, self._token):
            return _refusal(asked, 401, NO_TOKEN, LED_HERE)
        if given is None:
            return None
        answer = RedirectResponse(_without_token(asked), 303, {"Cache-Control": "no-store"})
        secure = asked.scope["scheme"] == "https"
        answer.set_cookie(cookie, self._secret, secure=secure, httponly=True, samesite="strict")
        return answer


def _is_own_name(name: str) -> bool:
    allowed = [each.lower() for each in st.get_option("server.allowedHosts")]
    return name in allowed or "*" in allowed


def _base_path() -> str:
    path = st.get_option("server.baseUrlPath").strip("/")
    return f"/{path}" if path else ""


def _same(given: str | None, expected: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), expected.encode())


def _refusal(asked: HTTPConnection, status: int, words: str, page_only: str = "") -> Response:
    """A page for a window; a text in JSON for an open page that connects again, which shows it."""
    headers = {"Cache-Control": "no-store"}
    if "text/html" in asked.headers.get("accept", ""):
        return HTMLResponse(PAGE.format(words + page_only), status, headers)
    return JSONResponse(" ".join(words.split()), status, headers)


def _without_token(asked: HTTPConnection) -> str:
    """The address that was asked for, relative to it, so that a proxy may serve it elsewhere."""
    rest = [(key, value) for key, value in asked.query_params.multi_items() if key != "token"]
    page = "./" + quote(asked.scope["path"].rpartition("/")[2], safe="")
    return f"{page}?{urlencode(rest)}" if rest else page


@asynccontextmanager
async def _announced(app: st.App) -> AsyncIterator[None]:
    """Prints the link once the port is bound."""
    scheme = "https" if st.get_option("server.sslCertFile") else "http"
    host = st.get_option("browser.serverAddress")
    where = f"[{host}]" if ":" in host else host
    port = st.get_option("server.port")
    link = f"{scheme}://{where}:{port}{_base_path()}/?{urlencode({'token': _token})}"
    echo(f"Open this link; whoever has it can start runs as you:\n\n  {link}\n")
    yield


# Taken out of the environment, so that no run inherits it.
_token = os.environ.pop(TOKEN_VARIABLE, "") or secrets.token_urlsafe(32)
app = st.App(
    Path(__file__).with_name("app.py"),
    lifespan=_announced,
    middleware=[Middleware(Gate, token=_token)],
)
