"""The app is for whoever has the printed link, in a browser on a page of the app's own."""

from __future__ import annotations

import base64
import http.client
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import settled
from playwright.sync_api import Page, expect
from serving import TOKEN, Server

from workbench.cli.ui_server import TOKEN_VARIABLE, app_path
from workbench.jobs import child_environment

PATHS = (
    ("GET", "/"),
    ("GET", "/runs"),
    ("GET", "/static/index.html"),
    ("GET", "/media/picture.png"),
    ("GET", "/component/other/index.html"),
    ("GET", "/_stcore/host-config"),
    ("GET", "/_stcore/metrics"),
    ("GET", "/_stcore/script-health-check"),
    ("GET", "/_stcore/health/../host-config"),
    ("PUT", "/_stcore/upload_file/session/file"),
    ("DELETE", "/_stcore/upload_file/session/file"),
    ("OPTIONS", "/_stcore/upload_file/session/file"),
)
REFUSED = "Open the link that `workbench ui` printed"
HEALTH = ("GET", "/_stcore/health")
OPENING = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("served") / "runs") as running:
        yield running


def ask(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, str]:
    """An answer and its text; ``_`` in a header's name is a hyphen."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers=named)
        answer = connection.getresponse()
        return answer, "" if answer.status == 101 else answer.read().decode()
    finally:
        connection.close()


def status(server: Server, path: str, method: str = "GET", **headers: str) -> int:
    return ask(server, path, method, **headers)[0].status


def stream(server: Server, **headers: str) -> int:
    """Status of the answer to opening the app's websocket; 101 is yes."""
    return status(server, "/_stcore/stream", **OPENING, **headers)


def log_in(server: Server, token: str = TOKEN) -> str:
    """The cookie that the link sets."""
    answer, _ = ask(server, f"/?token={token}")
    assert answer.status == 303
    return answer.headers["Set-Cookie"].partition(";")[0]


def printed_link(server: Server) -> str:
    """The link in the server's output, once it answers."""
    status(server, HEALTH[1])
    (link,) = re.findall(r"http://\S+", server.log.read_text())
    return str(link)


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_without_the_token_nothing_but_the_health_answers(
    method: str, path: str, server: Server
) -> None:
    answer, text = ask(server, path, method)
    assert answer.status == 401
    assert REFUSED in text
    assert REFUSED not in ask(server, path, method, Cookie=log_in(server))[1]
    assert status(server, HEALTH[1]) == 200


def test_the_link_is_turned_into_a_cookie_and_leaves_the_address(server: Server) -> None:
    answer, _ = ask(server, f"/runs?run=a%2Fb%20c&token={TOKEN}&of=&of=x")
    assert answer.status == 303
    assert answer.headers["Location"] == "./runs?run=a%2Fb+c&of=&of=x"
    name, value = answer.headers["Set-Cookie"].split("; ")[0].split("=")
    assert name == f"workbench-{server.port}"
    assert TOKEN not in value
    parts = {part.lower() for part in answer.headers["Set-Cookie"].split("; ")[1:]}
    assert parts == {"httponly", "path=/", "samesite=strict"}
    assert status(server, "/", Cookie=f"{name}={value}") == 200
    elsewhere, _ = ask(server, f"//evil.example/%5C?token={TOKEN}")
    assert elsewhere.headers["Location"] == "./%5C"


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "%ff%00"])
def test_a_wrong_token_and_a_cookie_of_an_earlier_start_are_refused(
    token: str, server: Server
) -> None:
    assert status(server, f"/?token={token}") == 401
    name = log_in(server).partition("=")[0]
    assert status(server, "/", Cookie=f"{name}={token}") == 401
    assert status(server, "/", Cookie=f"{name}={TOKEN}") == 401  # nor is the token the cookie
    assert stream(server, Cookie=f"{name}={token}") == 403
    assert stream(server) == 403
    assert status(server, f"/_stcore/stream?token={TOKEN}", **OPENING) == 403


def test_the_websocket_is_for_pages_of_exactly_this_server(server: Server) -> None:
    cookie, port = log_in(server), server.port
    assert stream(server, Cookie=cookie, Origin=server.url) == 101
    assert stream(server, Cookie=cookie) == 101  # no browser; it has the cookie
    own_name = f"localhost:{port}"
    assert stream(server, Cookie=cookie, Host=own_name, Origin=f"http://{own_name}") == 101
    for origin in (
        "http://127.0.0.1", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}",
        "http://localhost:3000", "https://evil.example", f"http://127.0.0.1:{port}.evil.example",
        f"http://127.0.0.1:{port}@evil.example", "null", "",
    ):  # fmt: skip
        assert stream(server, Cookie=cookie, Origin=origin) == 403, origin
        assert stream(server, Origin=origin) == 403, origin
        for method, path in PATHS:
            assert status(server, path, method, Cookie=cookie, Origin=origin) == 403, (origin, path)


@pytest.mark.parametrize(
    "host",
    ["evil.example:{}", "127.0.0.1.evil.example", "127.0.0.1/_stcore/health?:{}", "127.0.0.1:{}/x",
     "evil.example@127.0.0.1:{}", "[::1", "127.0.0.1:", "", "localhost\u00e9"],
)  # fmt: skip
def test_a_name_that_was_rebound_to_loopback_is_refused_everywhere(
    host: str, server: Server
) -> None:
    name, cookie = host.format(server.port), log_in(server)
    for method, path in (*PATHS, HEALTH):
        assert status(server, path, method, Host=name, Cookie=cookie) in (400, 403), path
    assert status(server, f"/?token={TOKEN}", Host=name) in (400, 403)
    assert stream(server, Host=name, Origin=f"http://{name}", Cookie=cookie) in (400, 403)


def test_no_answer_may_be_framed(server: Server) -> None:
    cookie = log_in(server)
    for path in ("/", "/runs", HEALTH[1], f"/?token={TOKEN}", "/media/none.png"):
        for headers in ({}, {"Cookie": cookie}, {"Host": "evil.example"}):
            answer, _ = ask(server, path, **headers)
            assert answer.headers["Content-Security-Policy"] == "frame-ancestors 'none'"
            assert answer.headers["X-Frame-Options"] == "DENY"


def test_each_start_has_a_link_of_its_own_and_the_log_has_it_once(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with Server(tmp_path / "runs", token="") as server:
            link = printed_link(server)
            assert link.startswith(f"{server.url}/?token=")
            tokens.append(link.partition("token=")[2])
            cookie = log_in(server, tokens[-1])
            assert stream(server, Cookie=cookie) == 101
            assert stream(server, Cookie=cookie, Origin="http://evil.example") == 403
            assert server.log.read_text().count(tokens[-1]) == 1
    assert len(set(tokens)) == 2 and all(len(token) >= 43 for token in tokens)


def test_runs_do_not_inherit_the_token() -> None:
    source = f"import os, serve; print(os.environ.get({TOKEN_VARIABLE!r}))"
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=app_path().parent,
        env={**child_environment(), TOKEN_VARIABLE: TOKEN},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "None", done.stderr


def test_behind_a_proxy_that_serves_it_under_a_path_and_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMLIT_SERVER_BASE_URL_PATH", "/bench/")
    monkeypatch.setenv(
        "STREAMLIT_SERVER_CORS_ALLOWED_ORIGINS", "https://a.example https://proxy.example"
    )
    with Server(tmp_path / "runs") as server:
        assert printed_link(server) == f"{server.url}/bench/?token={TOKEN}"
        assert status(server, "/bench/") == 401
        answer, _ = ask(server, f"/bench/?token={TOKEN}", X_Forwarded_Proto="https")
        assert answer.headers["Location"] == "./"
        assert "Secure" in answer.headers["Set-Cookie"]
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
        assert status(server, "/bench/", Cookie=cookie) == 200
        assert status(server, "/bench/_stcore/health") == 200
        assert status(server, "/_stcore/health") == 401
        for origin, expected in (
            (server.url, 101), ("https://proxy.example", 101), ("https://evil.example", 403),
            ("https://proxy.example.evil.example", 403), ("http://proxy.example:81", 403),
        ):  # fmt: skip
            headers = {**OPENING, "Cookie": cookie, "Origin": origin}
            assert status(server, "/bench/_stcore/stream", **headers) == expected, origin


@pytest.mark.browser
def test_a_browser_that_opened_the_link_keeps_the_app(page: Page, tmp_path: Path) -> None:
    with Server(tmp_path / "runs") as server:
        page.goto(f"{server.url}/runs")
        expect(page.get_by_role("heading", name="Not opened")).to_be_visible()
        server.open(page, "/runs?of=x")
        settled(page)
        assert "token" not in page.url and "of=x" in page.url
        page.reload()
        settled(page)
        second = page.context.new_page()
        second.goto(f"{server.url}/compare")
        settled(second)
        expect(second.get_by_role("heading", name="Compare", exact=True)).to_be_visible()
        other_site = f"http://localhost:{server.port}/_stcore/health"  # a strict cookie stays away
        page.goto(other_site)
        page.evaluate("to => { location.href = to }", f"{server.url}/runs")
        expect(page.get_by_role("heading", name="Not opened")).to_be_visible()
        page.get_by_role("link", name="Open this page").click()
        settled(page)
        expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
        page.goto(f"http://127.0.0.1:{server.port}/_stcore/health")  # same site, as other ports are
        page.set_content(f"<iframe src='{server.url}/runs'></iframe>")
        page.wait_for_timeout(1000)
        assert not [frame for frame in page.frames if frame.url.startswith(server.url + "/runs")]
        port = server.port
    with Server(tmp_path / "runs", port=port, token="") as again:
        expect(second.get_by_text(REFUSED)).to_be_visible()
        page.goto(f"{again.url}/runs")
        expect(page.get_by_role("heading", name="Not opened")).to_be_visible()
        expect(page.get_by_text("links of earlier starts")).to_be_visible()
        page.goto(printed_link(again))
        settled(page)
