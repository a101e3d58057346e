"""What has been chosen for a new study: in the address, so that nothing gets lost.

What is read or fetched must not be chosen by a link from somebody else: in the address there are
only embedded data and models, and files of the server's own data folder. Another source stays in
this server's memory; the address has a random number that finds it again.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import streamlit as st

from layout import runs_dir
from workbench.cli.new import DATA_FOLDER, RECIPES_FOLDER
from workbench.new_study import METHODS, Choices, Given
from workbench.new_study.draft import SEEDS, method_of
from workbench.recipe.sources import ASSET_PREFIX

COLUMNS = ("text", "text_pair", "label", "group")
ROWS = ("drop", "merge", "keep")
"""What is done about problems of the rows."""
SETTLED = "rows-settled"
KEPT = "kept"
MOST_KEPT = 1000
MOST_SEEDS = 100
NOTHING = "-"
"""In the address: a column that there is none of."""
VALUES, ALONE = "values", "alone"
TRAINING = (
    "learning_rate",
    "epochs",
    "max_steps",
    "batch_size",
    "warmup_ratio",
    "lr_scheduler",
    "weight_decay",
)
"""Settings of the training that a page and its link may change for each method."""
_LINKED = re.compile(rf"([\w-]+:)?(method\.\w+|training\.({'|'.join(TRAINING)}))=")


def data_folder() -> Path:
    return runs_dir().parent / DATA_FOLDER


def recipes_folder() -> Path:
    return runs_dir().parent / RECIPES_FOLDER


def put(key: str, value: str | list[str] | None) -> None:
    """Writes a choice into the address; None takes it out."""
    if value is None:
        st.query_params.pop(key, None)
    else:
        st.query_params[key] = value


def put_data(source: str) -> None:
    """Other data: what was said about the old one goes."""
    for key in ("task", "named", "problem_type", *COLUMNS, *ROWS):
        put(key, None)
    st.session_state.pop(SETTLED, None)
    path = Path(source)
    put_source("data", path.name if path.parent == data_folder() else source)


def settle(added: Mapping[str, list[str]]) -> None:
    """Adds to what is done about the rows.

    The second of two quick clicks comes with the address of before the first, so what was done on
    this visit is kept beside it.
    """
    data, earlier = st.session_state.get(SETTLED, ("", {}))
    earlier = earlier if data == source("data") else {}
    kept = {
        key: [*dict.fromkeys([*st.query_params.get_all(key), *earlier.get(key, ()), *added[key]])]
        for key in ROWS
    }
    st.session_state[SETTLED] = source("data"), kept
    for key, values in kept.items():
        put(key, values or None)


def put_source(key: str, value: str) -> None:
    """Data or a model: into the address if a link may name it, else into memory."""
    linked = _may_be_linked(key, value)
    put(key, value if linked else None)
    if st.query_params.get(KEPT) in _kept() or not linked:
        put(KEPT, _keep(st.query_params.get(KEPT), key, "" if linked else value))


def _may_be_linked(key: str, value: str) -> bool:
    return value.startswith(ASSET_PREFIX) or (key == "data" and _uploaded(value) is not None)


def _keep(number: str | None, key: str, value: str) -> str:
    """Puts a value into memory, and returns the number that finds it again."""
    found = number if number in _kept() else secrets.token_urlsafe(12)
    assert found is not None
    _kept()[found] = {**_kept().get(found, {}), key: value}
    for old in list(_kept())[:-MOST_KEPT]:
        _kept().pop(old, None)
    return found


def is_linked(value: str) -> bool:
    """Whether the address may have a setting."""
    return _LINKED.match(value) is not None


def put_values(values: Sequence[str]) -> None:
    """Settings as ``method:key.path=value``, or without a method those of all."""
    linked = [each for each in values if is_linked(each)]
    put(VALUES, linked or None)
    rest = "\n".join(each for each in values if each not in linked)
    if rest or st.query_params.get(KEPT) in _kept():
        put(KEPT, _keep(st.query_params.get(KEPT), VALUES, rest))


def values() -> list[str]:
    """What ``put_values`` has put there."""
    kept = _kept().get(st.query_params.get(KEPT, ""), {}).get(VALUES, "")
    linked = [each for each in st.query_params.get_all(VALUES) if is_linked(each)]
    return [*filter(None, kept.split("\n")), *linked]


def left_alone() -> list[str]:
    """Settings of one method that were not taken over."""
    return _kept().get(st.query_params.get(KEPT, ""), {}).get(ALONE, "").splitlines()


def refused_values() -> list[str]:
    """Settings in the address that no link may choose."""
    return [each for each in st.query_params.get_all(VALUES) if not is_linked(each)]


def query_of(choices: Choices, alone: Sequence[str] = ()) -> dict[str, str | list[str]]:
    """The address of the page filled in with some choices, under a name that is free.

    Args:
        alone: settings of one method that the page cannot take, to be named there.
    """
    query: dict[str, str | list[str]] = {"named": free_name(choices.name)}
    number: str | None = None
    path = Path(choices.source)
    data = path.name if path.parent == data_folder() else choices.source
    for key, source in (("data", data), ("model", choices.model or "")):
        if source and _may_be_linked(key, source):
            query[key] = source
        elif source:
            number = _keep(number, key, source)
    for key, value in choices.given._asdict().items():
        if value is not None:
            query[key] = ",".join(value) if isinstance(value, list) else value or NOTHING
    query["method"] = list(choices.methods)
    counted = choices.seeds == tuple(range(len(choices.seeds)))
    query["seeds"] = str(len(choices.seeds)) if counted else f"{','.join(map(str, choices.seeds))},"
    query |= {"drop": "1"} if choices.data.get("unusable_rows") == "drop" else {}
    merged = choices.data.get("merge_labels") or {}
    query |= {"merge": [f"{one}={other}" for one, other in merged.items()]} if merged else {}
    query |= {"keep": "1"} if choices.keep_labels else {}
    linked = [each for each in choices.overrides if is_linked(each)]
    query |= {VALUES: linked} if linked else {}
    if rest := [each for each in choices.overrides if each not in linked]:
        number = _keep(number, VALUES, "\n".join(rest))
    if alone:
        number = _keep(number, ALONE, "\n".join(alone))
    return {**query, KEPT: number} if number else query


def source(key: str) -> str:
    """The data or the model that is chosen; empty where none is."""
    kept = _kept().get(st.query_params.get(KEPT, ""), {}).get(key)
    named = st.query_params.get(key, "")
    if kept:
        return kept
    if named.startswith(ASSET_PREFIX):
        return named
    found = _uploaded(named) if key == "data" else None
    return "" if found is None else str(found)


def is_lost() -> bool:
    """Whether the address speaks of what this server does not know, or does not take from it."""
    unknown = KEPT in st.query_params and st.query_params[KEPT] not in _kept()
    return unknown or ("data" in st.query_params and not source("data"))


def _uploaded(name: str) -> Path | None:
    """The file of that plain name in the data folder."""
    plain = 0 < len(name) < 256 and Path(name).name == name and name.isprintable()
    path = data_folder() / name
    return path if plain and not name.startswith(".") and path.exists() else None


@st.cache_resource(show_spinner=False)
def _kept() -> dict[str, dict[str, str]]:
    return {}


def start_over() -> None:
    """Leaves the data and nothing else."""
    data = source("data")
    st.query_params.clear()
    put_data(data)


def put_task(task: str | None) -> None:
    for key in (*COLUMNS, "problem_type"):
        put(key, None)
    put("task", task)


def choices() -> Choices:
    """The address as choices.

    Raises:
        UsageError: a name or method that cannot be.
    """
    asked, data = st.query_params, source("data")
    columns = {key: None if asked.get(key) is None else _column(asked[key]) for key in COLUMNS}
    label = columns.pop("label")
    labels = label.split(",") if label and "," in label else label
    pairs = (pair.partition("=") for pair in asked.get_all("merge"))
    merged = {one: other for one, equals, other in pairs if equals}
    rows = {"unusable_rows": "drop"} if "drop" in asked else {}
    shared = tuple(each for each in values() if not method_of(each))
    return Choices(
        name=asked.get("named") or free_name(data),
        source=data,
        given=Given(
            task=asked.get("task"),
            text=columns["text"],
            text_pair=columns["text_pair"],
            label=labels,
            group=columns["group"],
            problem_type=asked.get("problem_type"),
        ),
        model=source("model") or None,
        methods=tuple(asked.get_all("method")) or METHODS,
        seeds=_seeds(asked.get("seeds", "3")),
        data={**rows, **({"merge_labels": merged} if merged else {})},
        keep_labels="keep" in asked,
        overrides=shared,
    )


def _seeds(text: str) -> tuple[int, ...]:
    """How many, or which where there are commas."""
    if "," in text:
        given = (int(part) for part in text.split(",") if re.fullmatch(r"\d{1,10}", part.strip()))
        return tuple(sorted({each for each in given if each < 2**32})[:MOST_SEEDS]) or SEEDS
    return tuple(range(min(MOST_SEEDS, max(1, int(text) if text.isdecimal() else 3))))


def _column(value: str) -> str:
    return "" if value == NOTHING else value


def free_name(source: str) -> str:
    """A name after the data that no study has yet."""
    stem = Path(source.rpartition(":")[2]).stem
    stem = re.sub(r"-[0-9a-f]{8}$", "", stem)  # what the content of an upload added
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:70] or "my-study"
    names = (stem, *(f"{stem}-{number}" for number in range(2, 1000)))
    taken = (recipes_folder(), runs_dir())
    return next(n for n in names if not any((folder / n).exists() for folder in taken))
