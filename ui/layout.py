"""What every view shares: which runs are shown, and how text from outside gets on the page.

Recipe names, log lines and error messages come from users, data and other people's folders. They
are shown as plain text or code; where a widget reads Markdown they go through ``plain`` first.
"""

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner import get_script_run_ctx

from cards import card
from workbench.cli.ui_server import RUNS_VARIABLE
from workbench.errors import WorkbenchError
from workbench.formatting import ABSENT
from workbench.recipe.suggest import did_you_mean
from workbench.store import DEFAULT_RUNS_DIR

FOLD_ABOVE = 3
PAGE, VISIT = "page", "visit"
OWNERS = {"recipe": ("",), "set": ("",), "draft": ("",), "run": ("runs", "export")}
OWNERS["picked"] = ("runs",)
"""Pages of the keys that no widget is bound to, which Streamlit carries to every page."""
_COMPARED = ("view", "runs", "recipes", "baseline", "score", "texts")
READ: dict[str, tuple[str, ...]] = {
    "": ("study", "part", "processes", "device"),
    "study": ("study", "device", *_COMPARED),
    "new": (
        *("data", "model", "kept", "task", "named", "method", "seeds", "values", "device"),
        *("text", "text_pair", "label", "group", "problem_type", "drop", "merge", "keep"),
    ),
    "runs": (
        *("what", "search", "of", "state", "sort", "searched", "trials-of"),
        *("archived", "column", "show", "metric", "smoothing", "find", "errors", "text"),
    ),
    "compare": ("studies", *_COMPARED),
    "playground": ("adapters", "from", "why", "look", "layer", "head"),
    "export": ("way", "edit"),
}
"""Keys of a page that its widgets are not bound to at all times."""
_OF_GROUP = re.compile(r".+-\d+")
"""A key of one group of comparable runs."""
CHECKED, STRAY = "link-checked", "stray-keys"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&^=])")
_AFTERTHOUGHTS = re.compile(r"(?<=:)(?=[\w+/])|(?<=www)(?=\.)|(?<=-)(?=[->])|(?<=<)(?=-)|(?=@)")


def runs_dir() -> Path:
    """The runs folder that this server shows."""
    return Path(os.environ.get(RUNS_VARIABLE) or DEFAULT_RUNS_DIR).absolute()


def resume(page: StreamlitPage) -> None:
    """Opens a page that the address names without any value of its own as it was left."""
    state, name = st.session_state, page.url_path
    asked = {key: st.query_params.get_all(key) for key in st.query_params}
    own = {key: values for key, values in asked.items() if name in OWNERS.get(key, (name,))}
    if PAGE not in state:
        state[STRAY] = list(asked.keys() - own.keys())
    if state.get(PAGE) != name:
        state[PAGE], state[VISIT] = name, visit() + 1
        target = own if by_history() else own or state.get(f"left:{name}", {})
        if target != asked:
            st.switch_page(page, query_params=target)
    for key in asked.keys() - own.keys():
        del st.query_params[key]


def remember() -> None:
    """Keeps the values in the address of this page for its next visit."""
    left = {key: st.query_params.get_all(key) for key in st.query_params}
    st.session_state[f"left:{st.session_state.get(PAGE)}"] = left


def visit() -> int:
    """The number of pages that were entered so far."""
    return int(st.session_state.get(VISIT, 0))


def by_history() -> bool:
    """Whether Back or Forward has led here: then the address says what is shown."""
    return bool(getattr(get_script_run_ctx(), "is_history_navigation", False))


def say_unknown_keys() -> None:
    """Says once a session which keys its link has that nothing on the page reads, and takes them
    out; what belongs to another page is one of them."""
    state, page = st.session_state, st.session_state.get(PAGE, "")
    if state.get(CHECKED) or (context := get_script_run_ctx()) is None:
        return
    state[CHECKED] = True
    with context.session_state.query_params() as params:
        bound = [key for key in st.query_params if params.is_bound(key)]
        others = [*getattr(params, "_bindings_by_param", ())]  # only to name the nearest
    known = {*bound, *READ.get(page, ()), *(key for key, pages in OWNERS.items() if page in pages)}
    unknown = [key for key in st.query_params if key not in known and not _OF_GROUP.fullmatch(key)]
    for key in unknown:
        del st.query_params[key]
        state.setdefault(STRAY, []).append(key)
    for key in state.pop(STRAY, []):
        words = f"The address has the key {key[:200]!r}, which nothing on this page reads."
        near = did_you_mean(key, {*known, *others})
        st.toast(plain(f"{words} {near}".strip()), icon=":material/link_off:", duration="infinite")


def say_unknown(key: str, known: Collection[str], what: str = "") -> None:
    """Says which values the address has of a key that are not there; the page shows its usual."""
    for each in st.query_params.get_all(key):
        if each not in known:
            words = f"The address names the {what or key} {each[:200]!r}, which is not here."
            st.toast(plain(words), icon=":material/link_off:", duration="infinite")


def plain(text: object) -> str:
    """Text as it is, for labels and captions, which Streamlit reads as Markdown.

    What escaping does not stop (it looks at the text once more for links, emoji and arrows) is
    broken up by a word joiner, which nobody sees.
    """
    joined = _AFTERTHOUGHTS.sub("\u2060", str(text))
    return _MARKDOWN.sub(r"\\\1", joined).replace("\n", "  \n")


def verbatim(text: str) -> str:
    """Text for where only Markdown goes, in which a command can be copied as it is."""
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    lines = (line.strip() for line in text.splitlines())
    return "  \n".join(f"{fence} {line} {fence}" for line in lines if line)


def heading(title: str, about: str) -> None:
    """The title of a view and one sentence under it."""
    with st.container(gap="xxsmall"):
        st.title(title, anchor=False)
        st.caption(about)


def error_box(title: str, details: str) -> None:
    """A problem in words; the details are shown verbatim."""
    st.error(plain(title), icon=":material/error:")
    if details.strip():
        st.code(details.strip(), language=None, wrap_lines=True)


def show_error(error: WorkbenchError) -> None:
    """An error of the library, as the command line prints it."""
    error_box(error.kind.capitalize(), str(error))


@contextmanager
def errors_shown(place: Any = st) -> Iterator[None]:
    """Shows an error of the library that ends the block; what follows the block is drawn."""
    try:
        yield
    except WorkbenchError as error:
        with place.container():
            show_error(error)


@contextmanager
def errors_kept() -> Iterator[None]:
    """Shows an error of the library that ends the block until the reader closes it, however often
    the page is drawn again."""
    try:
        yield
    except WorkbenchError as error:
        words = f"{error.kind.capitalize()}:  \n{verbatim(str(error))}"
        st.toast(words, icon=":material/error:", duration="infinite")


def action_button(
    place: Any, label: str, key: str, action: Callable[[], object], **look: Any
) -> None:
    """A button of ``place`` that does something; what is wrong with that stays until it is read."""
    place.button(label, key, on_click=errors_kept()(action), **look)


def empty(title: str, hint: str) -> None:
    """What a view says when there is nothing to show, and what to do about it."""
    with card(f"empty-{title}", gap="xxsmall"):
        st.subheader(plain(title), anchor=False)
        st.caption(hint)


def remarks(title: str, sentences: list[str], icon: str, *, fold_above: int = FOLD_ABOVE) -> None:
    """Sentences that a reader should know, folded away when there are many."""
    if not sentences:
        return
    with st.expander(title, icon=icon, expanded=len(sentences) <= fold_above):
        for sentence in sentences:
            st.text(sentence)


def tiles(pairs: Sequence[tuple[str, str]]) -> None:
    for column, (name, value) in zip(st.columns(len(pairs)), pairs, strict=True):
        column.metric(plain(name), plain(value))


def right_aligned(columns: Iterable[str]) -> dict[str, Any]:
    """How a table shows columns of numbers that are written as text."""
    return {name: st.column_config.TextColumn(name, alignment="right") for name in columns}


def facts(pairs: list[tuple[str, Any]]) -> None:
    """A quiet two-column list of names and values; pairs without a value are left out."""
    with st.container(gap="xxsmall"):
        for name, value in pairs:
            if value in (None, "", ABSENT):
                continue
            left, right = st.columns([1, 2.4], gap="small")
            left.caption(name)
            right.text(str(value))
