"""``new``: from a file of data to a study, its plan and, if wanted, its comparison."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from workbench.cli.ending import end_as, report_runs
from workbench.cli.options import JSON_OPTION, RUNS_OPTION, chosen_seeds
from workbench.cli.output import echo, note, print_json, print_pairs, run_document
from workbench.cli.plans import print_plans
from workbench.cli.run import run_here
from workbench.errors import DataError, UsageError
from workbench.formatting import plural

if TYPE_CHECKING:
    from workbench.new_study import Choices, Inspected, Planned
    from workbench.new_study.questions import Reason

RECIPES_FOLDER = "my-recipes"
DATA_FOLDER = "my-data"
"""Both beside the folder of the runs."""

_NAME = typer.Argument(metavar="NAME", help="Name of the study and its folder.")
_DATA = typer.Option(
    ...,
    "--data",
    metavar="SOURCE",
    help="csv, tsv, jsonl, json, parquet or CoNLL file, SQuAD's, a folder or zip of texts, "
    "asset:NAME or a Hub id.",
)
_COLUMN = "Column with {}; guessed if left out."
_TEXT = typer.Option(None, "--text", help=_COLUMN.format("the text, words, context or prompt"))
_PAIR = typer.Option(None, "--text-pair", help=_COLUMN.format("the second text or question"))
_LABEL = typer.Option(
    None, "--label", help=_COLUMN.format("the label, tags, answers or completion; or A,B,C")
)
_GROUP = typer.Option(None, "--group", help="Column whose rows stay on one side of the split.")
_PROBLEM = typer.Option(
    None,
    "--problem-type",
    help="What a column of numbers is: single_label_classification or regression.",
)
_NO_GROUP = typer.Option(False, "--no-group", help="Rows do not belong together.")
_MERGE = typer.Option(
    None, "--merge-labels", metavar="A=B", help="Read label A as label B. Repeatable."
)
_DROP = typer.Option(False, "--drop-unusable", help="Leave out rows that cannot be used.")
_SET = typer.Option(
    None,
    "--set",
    metavar="KEY=VALUE",
    help="A value of all methods, e.g. training.epochs=2, or of one: lora:method.r=4.",
)
_RECIPES = typer.Option(
    None, "--recipes", help=f"Folder for the study; {RECIPES_FOLDER} beside --runs by default."
)
_KEEP = typer.Option(False, "--keep-labels", help="Labels that look alike are different.")


_UNREADABLE: tuple[Any, ...] = (ValueError, *typer.BadParameter.__bases__)
"""What parsing a command raises: typer brings click's errors under no name of its own."""


def new(
    context: typer.Context,
    name: str = _NAME,
    data: str = _DATA,
    task: str | None = typer.Option(None, help="Task; guessed from the columns if left out."),
    text: str | None = _TEXT,
    text_pair: str | None = _PAIR,
    label: str | None = _LABEL,
    group: str | None = _GROUP,
    no_group: bool = _NO_GROUP,
    problem_type: str | None = _PROBLEM,
    drop: bool = _DROP,
    merge: list[str] | None = _MERGE,
    keep: bool = _KEEP,
    model: str | None = typer.Option(None, help="Hub id, folder or asset:NAME; else embedded."),
    methods: str = typer.Option("full,lora,prompt", help="Methods to compare."),
    seeds: str = typer.Option("3", help="How many seeds, e.g. 3; or which, e.g. 0,1,2."),
    overrides: list[str] | None = _SET,
    start: bool = typer.Option(False, "--run", help="Run it now, and compare."),
    dry_run: bool = typer.Option(False, "--dry-run", help="Write nothing; only say what would be."),
    recipes: Path | None = _RECIPES,
    runs: Path = RUNS_OPTION,
    as_json: bool = JSON_OPTION,
) -> None:
    """Make a study from your data: one command to a comparison.

    Guesses the task and columns, lists what is wrong with the rows, writes a recipe for each
    method and prints what running them takes and can show.
    """
    choices = _choices(context.params)
    folder = (recipes or runs.parent / RECIPES_FOLDER) / name
    _make(choices, folder, runs, start=start, dry_run=dry_run, as_json=as_json)


def choices_of(command: str) -> Choices:
    """What a command ``workbench new NAME ...`` chooses.

    Raises:
        UsageError: when it is none that this version has.
    """
    app = typer.Typer(add_completion=False)
    app.command(add_help_option=False)(new)
    try:
        words = shlex.split(command)[2:]
        context = typer.main.get_command(app).make_context("new", words)
    except _UNREADABLE as error:
        raise UsageError("not a command of `workbench new`", why=str(error)) from None
    return _choices(context.params)


def _choices(said: Mapping[str, Any]) -> Choices:
    from workbench.new_study import Choices, Given

    label = said["label"]
    labels = label.split(",") if label and "," in label else label
    group = "" if said["no_group"] else said["group"]
    return Choices(
        name=said["name"],
        source=said["data"],
        given=Given(
            task=said["task"],
            text=said["text"],
            text_pair=said["text_pair"],
            label=labels,
            group=group,
            problem_type=said["problem_type"],
        ),
        model=said["model"],
        methods=tuple(each.strip() for each in said["methods"].split(",")),
        seeds=_seeds(said["seeds"]),
        data=_row_choices(said["drop"], said["merge"] or ()),
        keep_labels=said["keep"],
        overrides=tuple(said["overrides"] or ()),
    )


def _make(
    choices: Choices, folder: Path, runs: Path, *, start: bool, dry_run: bool, as_json: bool
) -> None:
    from workbench.new_study import write_study

    if start and dry_run:
        raise UsageError("--run with --dry-run", fix="give one of them")
    planned = _planned(choices, runs, as_json)
    written = not dry_run and write_study(planned.draft, folder)
    if not as_json:
        state = (
            "not written" if dry_run else "written" if written else "there already, just like this"
        )
        _print_planned(planned, f"{folder}: {state}")
    if start:
        _run(planned, folder, runs, as_json)
    elif as_json:
        print_json(_document(planned, folder, runs))
    else:
        print_pairs("next", list(zip("123", _next(folder, runs), strict=False)))


def _planned(choices: Choices, runs: Path, as_json: bool) -> Planned:
    from workbench.new_study import inspect, plan_study

    inspected = inspect(choices, runs.parent / DATA_FOLDER)
    if not as_json:
        _print_inspected(inspected)
    _refuse_problems(inspected)
    return plan_study(inspected)


def _row_choices(drop: bool, pairs: Sequence[str]) -> dict[str, Any]:
    """The keys of ``data`` that say how rows are read."""
    merged = {}
    for pair in pairs:
        one, equals, other = (part.strip() for part in pair.partition("="))
        if not (one and equals and other):
            fix = "e.g. --merge-labels pos=positive"
            raise UsageError(f"{pair!r} is not of the form A=B", where="--merge-labels", fix=fix)
        merged[one] = other
    chosen: dict[str, Any] = {"unusable_rows": "drop"} if drop else {}
    return chosen | ({"merge_labels": merged} if merged else {})


def _seeds(text: str) -> tuple[int, ...]:
    """A number counts the seeds; several, or one with a comma, are the seeds themselves."""
    chosen = chosen_seeds(text.removesuffix(","))
    assert chosen is not None
    if "," in text:
        return tuple(chosen)
    if not 1 <= chosen[0] <= 100:
        raise UsageError(f"--seeds {text}", why="it counts the seeds", fix="e.g. --seeds 3")
    return tuple(range(chosen[0]))


def _print_inspected(inspected: Inspected) -> None:
    found, draft = inspected.found, inspected.checked.draft
    sizes = ", ".join(f"{role} {size:,}" for role, size in found.sizes.items())
    rows = f"{len(found.ids):,} row{'s' * (len(found.ids) != 1)}" + (
        f" ({sizes})" if len(found.sizes) > 1 else ""
    )
    echo(f"{inspected.choices.source}: {rows}")
    pairs = [
        (each.key.replace("_", "-"), f"{each.value}  ({each.why}{_otherwise(each)})")
        for each in draft.reasons
    ]
    pairs += [("not read", ", ".join(inspected.unread))] if inspected.unread else []
    print_pairs("what it is taken for", pairs)
    for sentence in inspected.checked.notes:
        note(sentence)


def _otherwise(reason: Reason) -> str:
    """The option that says otherwise, where a column could be either."""
    from workbench.new_study.questions import OPTIONS

    return f"; or say {OPTIONS[reason.key]} {reason.other}" if reason.other else ""


def _refuse_problems(inspected: Inspected) -> None:
    """Ends with all problems in one list, each with its remedies, and the command with all."""
    problems = inspected.checked.problems
    if not problems:
        return
    lines = []
    for number, each in enumerate(problems, start=1):
        lines.append(f"{number}. {each.where}: {each.what}" if each.where else each.what)
        lines += [f"   why: {each.why}"] if each.why else []
        lines += [f"   {option}: {about}" for option, about, _ in each.remedies]
        lines += [f"   fix: {each.fix}"] if each.fix and not each.remedies else []
    shown = "\n".join(lines)
    fix = "correct them in the data"
    if all(each.remedies for each in problems):
        from workbench.new_study import with_all_remedies

        fix = f"with all remedies: {with_all_remedies(inspected).command()}"
    raise DataError(f"{plural(len(problems), 'problem')} in the data\n{shown}", fix=fix)


def _print_planned(planned: Planned, title: str) -> None:
    print_pairs(title, list(planned.draft.origin.items()))
    for sentence in planned.notes:
        note(sentence)
    echo()
    rows = zip(planned.recipes, planned.plans, strict=True)
    print_plans([(f"{r.study}/{r.name}", r.method.name, len(r.seeds), p) for r, p in rows])
    echo(planned.shows)


def _document(planned: Planned, folder: Path, runs: Path) -> dict[str, Any]:
    from workbench.new_study import files_of

    rows = zip(planned.recipes, planned.plans, strict=True)
    return {
        "study": folder.name,
        "folder": str(folder),
        "command": planned.draft.choices.command(),
        "taken_for": [each._asdict() for each in planned.draft.reasons],
        "plans": [{"recipe": recipe.name, **found} for recipe, found in rows],
        "shows": planned.shows,
        "notes": planned.notes,
        "files": files_of(planned.draft, folder),
        "next": _next(folder, runs),
    }


def _next(folder: Path, runs: Path) -> list[str]:
    where = [] if runs == Path("runs") else ["--runs", str(runs)]
    name = folder.name
    commands = (
        ["run", str(folder)],
        ["compare", name],
        ["report", name, "--output", f"{name}-report"],
    )
    return [shlex.join(["workbench", *words, *where]) for words in commands]


def _run(planned: Planned, folder: Path, runs: Path, as_json: bool) -> None:
    """Runs the study, which skips what has finished, and compares."""
    from workbench.comparison import compare
    from workbench.recipe import load_recipes

    finished = run_here(load_recipes(folder), runs, None, False)
    if not as_json:
        report_runs(finished, as_json=as_json)
        echo()
        echo(compare([runs / folder.name]).to("table").rstrip("\n"))
        return
    compared = json.loads(compare([runs / folder.name]).to("json"))
    document = _document(planned, folder, runs)
    print_json({**document, "runs": list(map(run_document, finished)), "comparison": compared})
    end_as(finished)
