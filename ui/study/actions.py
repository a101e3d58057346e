"""What can be done with a study: more methods, more seeds, a search, another try, its report."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

import devices
from compare.downloads import page_of
from layout import action_button, error_box, errors_kept, plain, runs_dir
from new_study import address
from recipes.fields import as_yaml
from run_summary import score_of
from runs.run_actions import stop_if_active
from runs.run_table import pending
from runs.searches import USUAL_TRIALS
from workbench import jobs
from workbench.analysis.records import get_section
from workbench.cli.new import choices_of
from workbench.errors import UsageError, WorkbenchError
from workbench.formatting import plural
from workbench.new_study import Choices
from workbench.new_study.draft import method_of
from workbench.new_study.existing import (
    Study,
    add_method,
    more_seeds,
    unfinished_runs,
    write_seeds,
)
from workbench.new_study.hand_edits import hand_edits
from workbench.recipe import Recipe, recipes_dir
from workbench.recipe.catalogue import higher_is_better
from workbench.recipe.methods import METHOD_SPECS
from workbench.report import check_extra
from workbench.store import ACTIVE, Run, run_name
from workbench.tuning.load_search import list_searches

MOST_SEEDS = 20
MOST_ASKED = 6
"""Adapters that the playground takes at once."""
START, QUEUE = "Start", "Queue"


def show(study: Study) -> None:
    """A row of buttons; what needs an answer asks in a window of its own."""
    unfinished = _unfinished(study)
    device = devices.choose(width=300) if study.recipes else ""
    with st.container(horizontal=True, vertical_alignment="center"):
        if active := [
            run for row in study.rows for run in row.runs.values() if run.state in ACTIVE
        ]:
            about = "Save and stop; what waits does not start. Unfinished runs can be resumed here."
            look = {"icon": ":material/stop:", "help": about}
            action_button(st, "Stop", "stop", partial(_stop, active), **look)
        if unfinished:
            count = sum(len(recipe.seeds) for recipe in unfinished)
            _submit(plural(count, "unfinished run"), "unfinished", device, lambda: unfinished)
        if study.recipes:
            if study.missing_methods:
                with st.popover("Add a method", icon=":material/add:"):
                    _methods(study, device)
            with st.popover("Add seeds", icon=":material/add:"):
                _seeds(study, device)
            with st.popover("Tune", icon=":material/tune:"):
                _tune(study)
        _edit(study)
        _links(study)
    if unfinished:
        devices.warn_if_busy()
    _search_that_ended(study)


def _submit(what: str, key: str, device: str, wanted: Callable[[], Sequence[Recipe]]) -> None:
    """Two buttons: now, or after what is in the queue. Each recipe has the seeds to be run."""
    for word, icon in ((START, "play_arrow"), (QUEUE, "playlist_add")):
        look: dict[str, Any] = {"type": "primary" if word == START else "secondary"}
        look["disabled"] = word == QUEUE and not devices.can_queue(device)
        if not st.button(f"{word} {what}", f"{key}:{word}", icon=f":material/{icon}:", **look):
            continue
        with errors_kept():
            recipes = wanted()
            options = devices.options(device, queue=word == QUEUE)
            if word == START:
                jobs.start(recipes, runs_dir(), **options)
            else:
                jobs.enqueue(recipes, runs_dir(), **options)
                jobs.ensure_worker(runs_dir())
            st.rerun()


def _stop(runs: Sequence[Run]) -> None:
    for run in runs:
        with errors_kept():  # what one refuses keeps none of the others
            stop_if_active(run)


def _unfinished(study: Study) -> list[Recipe]:
    """Recipes with the seeds that have not finished and that no job works on."""
    waiting, found = pending(), []
    for recipe, seeds in unfinished_runs(study):
        left = [s for s in seeds if f"{study.name}/{run_name(recipe, s)}" not in waiting]
        found += [_with_seeds(recipe, left)] if left else []
    return found


def _with_seeds(recipe: Recipe, seeds: Sequence[int]) -> Recipe:
    return recipe.model_copy(update={"seeds": list(seeds)})


def _methods(study: Study, device: str) -> None:
    names = study.missing_methods
    method = st.selectbox("Method", names, key=f"method-of:{study.name}:{len(names)}")
    if not method:
        return
    st.caption(plain((METHOD_SPECS[method].__doc__ or "").split("\n")[0]))
    st.caption("Starts from the learning rate that is tuned for the model, or the method's own.")
    devices.warn_if_busy()

    def added() -> list[Recipe]:
        return [_with_seeds(add_method(study, method), study.seeds)]

    _submit(plural(len(study.seeds), "run"), f"add:{method}", device, added)


def _seeds(study: Study, device: str) -> None:
    key = f"more:{study.name}:{len(study.seeds)}"  # of a second click, nothing is left
    new = more_seeds(study, int(st.number_input("How many", 1, MOST_SEEDS, 1, key=key)))
    st.caption(f"Seeds {', '.join(map(str, new))}: one run of each recipe for each.")

    def added() -> list[Recipe]:
        write_seeds(study, [*study.seeds, *new])
        return [_with_seeds(recipe, new) for recipe in study.recipes]

    devices.warn_if_busy()
    _submit(plural(len(new) * len(study.recipes), "run"), key, device, added)


def _tune(study: Study) -> None:
    searches = [each for each in list_searches(runs_dir()) if each.study == study.name]
    job = _last_search(study)
    st.caption(
        "Tries learning rates with the same number of trials for each recipe, scored on the "
        "validation split."
    )
    if any(each.is_active for each in searches) or (job is not None and job.alive):
        st.caption("A search of this study is running.")
    else:
        trials = int(st.number_input("Trials for each recipe", 1, 1000, USUAL_TRIALS))
        total = plural(trials * len(study.recipes), "trial")
        if st.button(f"Start {total}", "tune", type="primary", icon=":material/play_arrow:"):
            with errors_kept():
                jobs.start_search(study.recipes, trials, runs_dir())
                _open_searches(study.name)
    if searches and st.button("Show the searches", "searches"):
        _open_searches(study.name)


def _open_searches(study: str) -> None:
    st.switch_page("views/runs.py", query_params={"what": "Searches", "searched": study})


def _last_search(study: Study) -> jobs.Job | None:
    """The last job of the study, where that is a search."""
    found = jobs.list_jobs(runs_dir(), newest=20)
    last = next((job for job in found if (job.folder / study.name).is_dir()), None)
    return None if last is None or last.runs else last


def _search_that_ended(study: Study) -> None:
    """The log of a search that gave no trial, which is all that there is to show of it."""
    job = _last_search(study)
    trials = (each.trials for each in list_searches(runs_dir()) if each.study == study.name)
    if job is not None and not job.alive and not any(trials):
        error_box("The last search ended before its first trial", job.log_tail(4000))


def _edit(study: Study) -> None:
    """Opens the page or the form that has made the study, filled in with it."""
    label, icon = "Edit and run again", ":material/edit:"
    if made := _choices(study):
        if st.button(label, "edit", icon=icon):
            st.switch_page("views/new.py", query_params=address.query_of(*made))
        return
    if study.is_own and not study.problems:
        query = {"path": str(study.folder.parent), "study": study.name}
    elif (recipes_dir() / study.name).is_dir():
        query = {"study": study.name}
    else:
        held = (run for row in study.rows for run in row.runs.values())
        file = next((f for run in held if (f := run.path / "recipe.yaml").is_file()), None)
        query = {"path": str(file)}
        if file is None:
            return
    st.page_link("views/recipes.py", label=label, icon=icon, query_params=query)


def _choices(study: Study) -> tuple[Choices, list[str]] | None:
    """What New study was told, with what was changed in the recipes since, and what of that it
    cannot be told; None for a study that came about otherwise."""
    recipes = study.recipes
    methods = [recipe.method.name for recipe in recipes]
    if not study.made_by or not recipes or len(set(methods)) < len(methods):
        return None
    try:
        said, edits = choices_of(study.made_by), hand_edits(study, address.TRAINING)
        data = {"source": recipes[0].data.source, **get_section(edits.base, "data")}
        shared = [each for each in said.overrides if not method_of(each)]
        shared = [each for each in shared if each.partition("=")[0].strip() not in edits.shared]
        shared += [f"{key}={as_yaml(value)}" for key, value in edits.shared.items()]
        own = [each for recipe in recipes for each in _own_values(recipe)]
        own += [
            f"{method}:{key}={as_yaml(value)}"
            for method, values in edits.own.items()
            for key, value in values.items()
        ]
        choices = replace(
            said,
            source=data["source"],
            given=said.given._replace(**edits.given),
            data={key: data[key] for key in ("unusable_rows", "merge_labels") if key in data},
            model=edits.model,
            methods=tuple(methods),
            seeds=tuple(study.seeds),
            overrides=(*shared, *own),
        )
        return choices, edits.alone
    except WorkbenchError:
        return None


def _own_values(recipe: Recipe) -> list[str]:
    """All that the form of a method has; what is as usual it takes out itself."""
    values = recipe.model_dump(mode="json")
    name, training = recipe.method.name, {key: values["training"][key] for key in address.TRAINING}
    sections = {"training": training, "method": values["method"]}
    return [
        f"{name}:{section}.{key}={as_yaml(value)}"
        for section, of_section in sections.items()
        for key, value in of_section.items()
        if key != "name"
    ]


def _links(study: Study) -> None:
    """The playground and the export, with adapters of this study chosen."""
    best = _best_first(study)
    if not best:
        return
    for page, label, icon, query in (
        ("playground", "Playground", "science", {"adapters": [r.id for r in best[:MOST_ASKED]]}),
        ("export", "Export the best", "archive", {"run": best[0].id}),
    ):
        st.page_link(f"views/{page}.py", label=label, icon=f":material/{icon}:", query_params=query)
    with suppress(UsageError):  # what is not installed the Download tab says
        check_extra()
        data = partial(page_of, [runs_dir() / study.name], None, True)
        look: dict[str, Any] = {"icon": ":material/article:", "key": "report"}
        file = f"{study.name}-report.html"
        st.download_button("Report", data, file, "text/html", on_click="ignore", **look)


def _best_first(study: Study) -> list[Run]:
    """A finished run with an adapter of each recipe, those that score best on average first."""
    found = []
    for row in study.rows:
        runs = [r for r in row.runs.values() if r.state == "finished" and r.adapter.is_dir()]
        scored = [(s, metric) for s, metric in map(score_of, runs) if s is not None]
        if not scored:
            continue
        sign = 1 if higher_is_better(scored[0][1]) else -1
        found.append((-sign * sum(s for s, _ in scored) / len(scored), runs[0].id, runs[0]))
    return [run for *_, run in sorted(found, key=lambda each: each[:2])]
