"""The app: which views there are, and what is around them. `workbench ui` serves this file."""

from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st

from cards import style
from in_browser import mend
from layout import plain, remember, resume, runs_dir, say_unknown_keys

LOGO = str(Path(__file__).parent / "logo.svg")

st.set_page_config(page_title="PEFT workbench", page_icon=LOGO, layout="wide")

st.logo(LOGO)

navigation = st.navigation(
    [
        st.Page("views/new.py", title="New study", icon=":material/add:", url_path="new"),
        st.Page("views/study.py", title="Study", icon=":material/grid_on:", url_path="study"),
        st.Page("views/recipes.py", title="Recipes", icon=":material/description:", default=True),
        st.Page("views/runs.py", title="Runs", icon=":material/timeline:", url_path="runs"),
        st.Page("views/compare.py", title="Compare", icon=":material/leaderboard:"),
        st.Page("views/playground.py", title="Playground", icon=":material/science:"),
        st.Page("views/export.py", title="Export", icon=":material/archive:"),
    ],
    position="top",
)
if "landed" not in st.session_state:
    st.session_state["landed"] = True
    # The address, since a page that is not there leads to the first one too.
    path, base = urlsplit(st.context.url or "").path, st.get_option("server.baseUrlPath") or ""
    at_root = navigation.url_path == "" and path.strip("/") == base.strip("/")
    nothing_asked = at_root and not st.query_params.to_dict()
    if nothing_asked:  # the newest study, if there is one
        there = any(runs_dir().glob("*/*/status.json"))
        st.switch_page("views/study.py" if there else "views/new.py")
resume(navigation)
style()
mend()
navigation.run()
say_unknown_keys()
remember()
st.space("small")
st.caption(f"Runs folder: {plain(runs_dir())}")
