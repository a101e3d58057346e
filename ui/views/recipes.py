"""Recipes: pick one, change values, look at its data, see what it would train, start it."""

import difflib
from functools import partial
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cards import card
from layout import action_button, error_box, heading, plain
from recipes import data_preview, launch_panel, links, save_recipe
from recipes.recipe_form import form
from recipes.recipe_picker import pick
from recipes.snippets import Wanted
from workbench.errors import RecipeError
from workbench.recipe import Recipe, dump_recipe, load_recipe


def page() -> None:
    heading("Recipes", "Choose a recipe, edit its values, see the forecast, start it.")
    path = pick()
    if path is None:
        return
    try:
        shipped = load_recipe(path)
    except RecipeError as error:
        error_box("This recipe cannot be used", str(error))
        return
    head = st.container(gap=None)
    middle, right = st.columns([2.35, 1.15], gap="large")
    with middle:
        recipe = _middle(path, shipped, right)
    with head:
        st.header(plain(f"{recipe.study} / {recipe.name}"), anchor=False)
        if recipe.description:
            st.text(recipe.description)


def _middle(path: Path, shipped: Recipe, right: DeltaGenerator) -> Recipe:
    """The form and what follows from it; returns the recipe that it holds."""
    values, resolved, changes, data = st.tabs(
        ["Values", "Resolved recipe", "Changes", "Data"], key="part", bind="query-params"
    )
    with values:
        key = links.form_key(path)
        overrides = form(path, shipped, links.start_of(path, shipped, key), key=key)
    links.write(path, overrides)
    lost = links.lost(overrides)
    try:
        recipe = load_recipe(path, overrides)
    except RecipeError as error:
        with values:
            error_box("These values cannot be used", str(error))
        with right, card("start"):
            st.subheader("Start", anchor=False)
            st.caption("Fix the errors below to start.")
        return shipped
    with resolved:
        st.code(dump_recipe(recipe), language=None)
    with changes:
        _show_changes(shipped, recipe)
    with data:
        data_preview.show(recipe)
    wanted = Wanted(path=path, recipe=recipe, overrides=overrides, seeds=recipe.seeds)
    with right:
        if lost:
            words = f"Values that were lost with the page: {', '.join(lost)}"
            error_box(words, "Enter them again, or reset to the file.")
        launch_panel.panel(wanted, complete=not lost)
        save_recipe.form(recipe)
        if overrides or lost:
            look = {"width": "stretch", "type": "tertiary"}
            action_button(st, "Reset to the file", "reset", partial(links.reset, path), **look)
    return recipe


def _show_changes(shipped: Recipe, recipe: Recipe) -> None:
    before, after = dump_recipe(shipped).splitlines(), dump_recipe(recipe).splitlines()
    lines = list(difflib.unified_diff(before, after, "as shipped", "as edited", lineterm="", n=2))
    if lines:
        st.code("\n".join(lines), language=None)
    else:
        st.caption("No changes.")


page()
