"""A view of the app in a test, and all that it says."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from workbench.cli.ui_server import app_path


def open_view(name: str, **query: str | list[str]) -> AppTest:
    app = AppTest.from_file(str(app_path()), default_timeout=20)
    if name != "recipes":
        app.switch_page(f"views/{name}.py")
    for key, value in query.items():
        app.query_params[key] = value
    app.run()
    assert not app.exception
    return app


def texts(app: AppTest) -> str:
    """All that the page says, as one text."""
    kinds = (
        app.title,
        app.header,
        app.subheader,
        app.caption,
        app.text,
        app.code,
        app.markdown,
        app.error,
        app.warning,
        app.success,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)
