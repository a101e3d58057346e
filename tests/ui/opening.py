"""A view of the app in a test, and all that it says."""

from __future__ import annotations

import pandas as pd
from streamlit.dataframe_util import convert_arrow_bytes_to_pandas_df
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


def written(app: AppTest, number: int = 0) -> pd.DataFrame:
    """A table as a reader sees it, without the numbers behind it."""
    styler = app.dataframe[number].proto.arrow_data.styler
    return convert_arrow_bytes_to_pandas_df(styler.display_values)


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
        app.toast,
    )
    return "\n".join(str(element.value) for kind in kinds for element in kind)
