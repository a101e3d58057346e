"""Saving what a form says as a recipe file of one's own."""

from pathlib import Path

import streamlit as st

from layout import errors_shown, runs_dir
from workbench.errors import UsageError
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
    try:
        if not target.parent.resolve().is_relative_to(root := folder.resolve()):
            what = f"{study} is outside the folder"
            raise UsageError(what, where=str(root), fix="choose another study")
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(target, "x", encoding="utf-8") as file:
            file.write(dump_recipe(renamed))
    except FileExistsError:
        why, fix = "saving never overwrites a recipe", "choose another name"
        raise UsageError(
            "a file of this name exists", where=str(target), why=why, fix=fix
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
        with errors_shown():
            target = save(recipe, folder, study.strip(), name.strip())
            words = "Saved. The recipe is now in the list of this folder."
            st.success(words, icon=":material/check:")
            st.code(str(target), language=None, wrap_lines=True)
            query = {"path": str(folder), "study": study.strip(), "recipe": name.strip()}
            icon = ":material/description:"
            st.page_link("views/recipes.py", label="Open it", query_params=query, icon=icon)
