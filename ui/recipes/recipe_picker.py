"""Choosing a recipe: filters, study, recipe, or a folder of one's own; all of it in the address."""

from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cards import card
from layout import error_box, say_unknown
from workbench.errors import RecipeError
from workbench.formatting import plural
from workbench.recipe import Recipe, find_recipes, readable_recipes, recipes_dir
from workbench.recipe.sources import ASSET_PREFIX, is_local

ANY = "any"
HERE, HUB = "runs without the Hub", "needs the Hub"


def needs_hub(recipe: Recipe) -> bool:
    """True when model or data have to come from the Hub, unless they are cached already."""
    sources = (recipe.model.source, recipe.data.source)
    return any(not is_local(each) and not each.startswith(ASSET_PREFIX) for each in sources)


def pick() -> Path | None:
    """The bar of filters and the recipe file that was chosen; None when there is none."""
    with card("picker"):
        filters = st.columns([1, 1, 1, 1, 1.15], vertical_alignment="bottom")
        with filters[4], st.popover("Your folder", icon=":material/folder_open:", width="stretch"):
            about = "A recipe file, or a folder of them, on the machine that serves this page."
            own = st.text_input(
                "Path", key="path", placeholder="my-recipes/", bind="query-params", help=about
            )
        try:
            root = Path(own.strip()).expanduser() if own and own.strip() else recipes_dir()
            recipes, broken = _listed(root)
        except (RecipeError, OSError, ValueError, RuntimeError) as error:
            # Besides a folder without recipes: what cannot be a path at all.
            error_box("No recipes here", str(error))
            return None
        files = _filtered(recipes, filters) if recipes else []
        files = sorted([*files, *broken])
        if not files:
            st.caption("No recipes match these filters.")
            return None
        return _choice(root, files, len(recipes) + len(broken))


def _listed(root: Path) -> tuple[dict[Path, Recipe], list[Path]]:
    """The recipes below a folder, and the files that cannot be read as one."""
    files = find_recipes(root)
    folders = {file.parent for file in files}
    shared = [base for folder in folders for base in folder.glob("_*")]
    stamp = tuple((str(file), file.stat().st_mtime_ns) for file in sorted([*files, *shared]))
    recipes = _read(str(root), stamp)
    return recipes, [file for file in files if file not in recipes]


@st.cache_data(show_spinner=False, max_entries=8)
def _read(root: str, stamp: tuple[tuple[str, int], ...]) -> dict[Path, Recipe]:
    """Reading a hundred recipes takes 0.1 s, so it is done when one of the files has changed."""
    return readable_recipes(root)[0]


def _filtered(recipes: dict[Path, Recipe], columns: list[DeltaGenerator]) -> list[Path]:
    def ask(index: int, key: str, values: set[str]) -> str:
        options = [ANY, *sorted(values)]
        say_unknown(key, options)
        box = columns[index].selectbox
        return box(key.capitalize(), options, key=key, bind="query-params") or ANY

    task = ask(0, "task", {each.task.name for each in recipes.values()})
    model = ask(1, "model", {each.model.source for each in recipes.values()})
    method = ask(2, "method", {each.method.name for each in recipes.values()})
    say_unknown("hub", [ANY, HERE, HUB])
    hub = columns[3].selectbox("Hub", [ANY, HERE, HUB], key="hub", bind="query-params")
    return [
        file
        for file, recipe in recipes.items()
        if task in (ANY, recipe.task.name)
        and model in (ANY, recipe.model.source)
        and method in (ANY, recipe.method.name)
        and (hub == ANY or (hub == HUB) == needs_hub(recipe))
    ]


def _choice(root: Path, files: list[Path], total: int) -> Path:
    studies: dict[str, list[Path]] = {}
    for file in files:
        studies.setdefault(_study_of(file, root), []).append(file)
    left, right, about = st.columns([2, 2, 1.15], vertical_alignment="bottom")
    say_unknown("study", studies)
    study = left.selectbox("Study", list(studies), key="study", bind="query-params")
    chosen = {file.stem: file for file in studies.get(study or "") or files}
    names = list(chosen)
    say_unknown("recipe", names)
    asked = st.query_params.get("recipe")
    # Not bound to the address as the study is: what a filter takes away would be an error there.
    index = names.index(asked) if asked in names else 0
    key = f"recipe:{root}:{study}:{'|'.join(names)}:{asked}"  # another address, another box
    name = right.selectbox("Recipe", names, index=index, key=key)
    some = f"{len(files)} of " if len(files) < total else ""
    about.caption(f"{some}{plural(total, 'recipe')}")
    if name and name != asked:
        st.query_params["recipe"] = name
        for key in ("set", "draft"):
            st.query_params.pop(key, None)
    return chosen.get(name or "") or files[0]


def _study_of(file: Path, root: Path) -> str:
    parent = file.parent
    if parent in (root, root.parent):
        return parent.resolve().name
    return str(parent.relative_to(root))
