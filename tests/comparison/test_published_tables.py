"""The published numbers: complete, with a source, and the same as the shipped recipes quote."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import transformers
from pydantic import ValidationError

from workbench.comparison.configuration import read_settings
from workbench.comparison.published import _cut, agrees, figures
from workbench.comparison.published_tables import Published, printed_count, published
from workbench.costs.plan import plan
from workbench.recipe import dump_recipe, load_recipe, load_recipes, recipes_dir
from workbench.recipe.catalogue import METRICS
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.schema import Recipe
from workbench.store import Run

GLUE = ["cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb"]
UNOFFERED = {"nist", "meteor", "cider"}
"""Metrics of the E2E tables that the workbench does not compute."""
CLAIMING = [
    *(f"glue-{task}-roberta-base/{name}" for task in GLUE for name in ("full", "lora")),
    *(f"e2e-gpt2-medium/{name}" for name in ("full", "lora", "prefix")),
]
"""Shipped recipes that name the numbers of a paper as what they are to be set beside."""


def test_the_tables_are_whole_and_use_words_of_the_workbench() -> None:
    numbers = published()
    assert {table.paper for table in numbers.tables} == set(numbers.papers)
    for table in numbers.tables:
        assert table.read_at.startswith("github.com/")
        for column in table.columns:
            assert column.split or not column.data or table.what == "as the README says"
            assert column.metric in METRICS or column.metric in UNOFFERED
        names = {column.name for column in table.columns}
        for row in table.rows:
            by_column = [row.values, row.spreads or row.values, *row.setup_by_column.values()]
            assert {len(each) for each in by_column} == {len(table.columns)}
            assert names >= row.column_notes.keys()
            assert row.method is None or row.method in METHOD_SPECS
            assert {k.partition(".")[0] for k in row.setup} <= {"method", "model", "training"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vlaues": [1.0, 2.0]}, "Extra inputs are not permitted"),
        ({"trainable": "some"}, "should match pattern"),
    ],
)
def test_a_row_of_other_fields_is_refused(change: dict[str, Any], message: str) -> None:
    columns = [{"name": n, "metric": "accuracy", "scale": 100} for n in ("a", "b")]
    row = {"label": "r", "model": ["m"], "values": [1.0, None]}
    table = {"paper": "p", "name": "t", "what": "w", "read_at": "here", "verified": "read"}
    paper = {"authors": "A", "title": "T", "arxiv": "2106.09685"}
    document = {"papers": {"p": paper}, "tables": [{**table, "columns": columns, "rows": [row]}]}
    Published.model_validate(document)
    document["tables"] = [{**table, "columns": columns, "rows": [{**row, **change}]}]
    with pytest.raises(ValidationError, match=message):
        Published.model_validate(document)


def test_printed_counts_are_read_with_their_rounding() -> None:
    assert printed_count("0.3M") == (300_000, pytest.approx(50_000))
    assert printed_count("354.92M") == (pytest.approx(354_920_000), pytest.approx(5_000))
    assert agrees("0.3M", 294_912) and not agrees("0.3M", 393_216) and agrees(None, 1) is None


def _settings(recipe: Recipe, folder: Path) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    (folder / "recipe.yaml").write_text(dump_recipe(recipe))
    return read_settings(Run(path=folder, state="finished", reason=""))


@pytest.mark.parametrize("name", CLAIMING)
def test_a_recipe_that_claims_a_paper_finds_its_row(name: str, tmp_path: Path) -> None:
    recipe = load_recipe(name)
    settings = _settings(recipe, tmp_path)
    found = list(figures(settings, recipe.method.name, published()))
    assert not any(_cut(settings, table.columns[index]) for table, _, index in found)
    metrics = {table.columns[index].metric for table, _, index in found}
    assert metrics & set(recipe.task.score_names)


def test_every_shipped_roberta_and_e2e_medium_recipe_is_one_of_these() -> None:
    """A new recipe of these studies without a row would be noticed here; prompt tuning has none."""
    studies = [*(f"glue-{task}-roberta-base" for task in GLUE), "e2e-gpt2-medium"]
    shipped = {f"{s}/{r.name}" for s in studies for r in load_recipes(s)}
    assert shipped == {*CLAIMING, "e2e-gpt2-medium/prompt"}


@pytest.mark.parametrize("task", GLUE)
def test_the_scores_that_the_recipes_quote_are_those_of_the_table(
    task: str, tmp_path: Path
) -> None:
    folder = recipes_dir() / f"glue-{task}-roberta-base"
    quoted = re.search(
        r"full ([\d.]+), LoRA ([\d.]+) \+- ([\d.]+)", (folder / "_base.yaml").read_text()
    )
    assert quoted is not None
    values: dict[str, tuple[float | None, float | None]] = {}
    for name in ("full", "lora"):
        recipe = load_recipe(folder / f"{name}.yaml")
        ((_, row, index),) = figures(_settings(recipe, tmp_path / name), name, published())
        values[name] = row.values[index], row.spreads[index] if row.spreads else None
    full, lora, spread = map(float, quoted.groups())
    assert values == {"full": (full, None), "lora": (lora, spread)}


@pytest.mark.parametrize("task", GLUE)
def test_the_shipped_lora_recipes_have_the_papers_set_up(task: str, tmp_path: Path) -> None:
    recipe = load_recipe(f"glue-{task}-roberta-base/lora")
    settings = _settings(recipe, tmp_path)
    ((_, row, index),) = figures(settings, "lora", published())
    wanted = {**row.setup, **{k: v[index] for k, v in row.setup_by_column.items()}}
    assert len(wanted) == 8 and {key: settings[key] for key in wanted} == wanted


ROBERTA = transformers.RobertaConfig(
    vocab_size=50265, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1
)
GPT2_MEDIUM = transformers.GPT2Config(n_embd=1024, n_layer=24, n_head=16)
# Without the task head. 0.35M is what both papers print for GPT-2 medium; r = 4 on queries and
# values of 24 layers is 24 * 2 * 4 * (1024 + 1024) = 393,216, and 5 tokens of prefix are stored as
# 24 * 2 * 5 * 1024 = 245,760: neither is the printed number, and `compare --published` says so.
COUNTS = [
    ("glue-sst2-roberta-base/lora", ROBERTA, 294_912, True),
    ("glue-mnli-roberta-base/lora", ROBERTA, 294_912, True),
    ("glue-sst2-roberta-base/full", ROBERTA, 124_055_040, False),
    ("e2e-gpt2-medium/full", GPT2_MEDIUM, 354_823_168, False),
    ("e2e-gpt2-medium/lora", GPT2_MEDIUM, 393_216, False),
]


@pytest.mark.parametrize(("name", "config", "count", "printed"), COUNTS)
def test_planned_counts_beside_the_printed_ones(
    name: str,
    config: Any,
    count: int,
    printed: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Counts need no rehearsal, which takes 10 s of a GPT-2 medium.
    module = importlib.import_module("workbench.costs.plan")
    monkeypatch.setattr(module, "forecast", lambda *_, **__: {"notes": []})
    recipe = load_recipe(name)
    config.save_pretrained(tmp_path / "model")
    task = {"labels": ["no", "yes"]} if "glue" in name else {}
    model = {**recipe.model.model_dump(), "source": str(tmp_path / "model"), "revision": None}
    local = Recipe.model_validate(
        {**recipe.model_dump(), "model": model, "task": {**recipe.task.model_dump(), **task}}
    )
    trained = plan(local)["adapter_parameters"]
    assert trained == count
    found = list(figures(_settings(recipe, tmp_path / "r"), recipe.method.name, published()))
    line = found[0][1]
    assert agrees(line.trainable, trained) is printed
    if recipe.method.name == "full":  # the printed number is of another count of embeddings
        assert line.trainable is not None
        assert trained == pytest.approx(printed_count(line.trainable)[0], rel=0.01)
