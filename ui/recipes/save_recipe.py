"""Saving what a form says as a recipe file of one's own."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from layout import error_box, runs_dir, show_error
from workbench.errors import UsageError, WorkbenchError
from workbench.recipe import Recipe, dump_recipe
from workbench.recipe.loading import build
from workbench.recipe.schema import check_name

OWN = "my-recipes"
"""Beside the runs, unless another folder is open."""


def save(recipe: Recipe, folder: Path, study: str, name: str) -> Path:
    """Writes a recipe as ``folder/study/name.yaml``; an existing file is never touched.

    Raises:
        UsageError: when a name cannot be one, leads out of the folder, or is taken.
    """
    for key, value in (("study", study), ("name", name)):
        check_name(value, where=key)
    renamed, problems = build({**recipe.model_dump(mode="json"), "study": study, "name": name})
    if renamed is None or problems:
        raise UsageError("; ".join(problem.what for problem in problems), where="name")
    target = folder / study / f"{name}.yaml"
    root = folder.resolve()
    if not target.parent.resolve().is_relative_to(root):
        raise UsageError(
            f"{study} is outside the folder", where=str(root), fix="choose another study"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "x", encoding="utf-8") as file:
            file.write(dump_recipe(renamed))
    except FileExistsError:
        raise UsageError(
            "a file of this name exists",
            where=str(target),
            why="saving never overwrites a recipe",
            fix="choose another name",
        ) from None
    except OSError as error:
        raise UsageError(f"cannot be written: {error.strerror}", where=str(target)) from None
    return target


def own_folder() -> Path:
    """Where recipes are saved: the folder that is open, else one beside the runs."""
    opened = str(st.query_params.get("path") or "").strip()
    if not opened:
        return runs_dir().parent / OWN
    path = Path(opened).expanduser().absolute()
    return path.parent if path.is_file() else path


def form(recipe: Recipe) -> None:
    """The popover that saves the values of the page under a new name."""
    folder = own_folder()
    with st.popover("Save as a new recipe", icon=":material/save:", width="stretch"):
        st.caption("Into")
        st.code(str(folder), language=None, wrap_lines=True)
        with st.form("save", border=False):
            study = st.text_input("Study", recipe.study, max_chars=80)
            name = st.text_input("Name", f"{recipe.name}-2", max_chars=80)
            pressed = st.form_submit_button("Save", type="primary", width="stretch", key="save")
        if not pressed:
            return
        try:
            target = save(recipe, folder, study.strip(), name.strip())
        except WorkbenchError as error:
            show_error(error)
            return
        except OSError as error:
            error_box("Not saved", str(error))
            return
        st.success("Saved. The recipe is now in the list of this folder.", icon=":material/check:")
        st.code(str(target), language=None, wrap_lines=True)
        query = {"path": str(folder), "study": study.strip(), "recipe": name.strip()}
        st.page_link(
            "views/recipes.py", label="Open it", query_params=query, icon=":material/description:"
        )
