"""A run whose rows belong together: the record names the group of each test example."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from tests.tiny_models import topic_rows
from workbench import compare
from workbench.recipe import Recipe
from workbench.store import Run


def test_runs_record_groups_and_are_compared_over_them(
    make_recipe: Callable[..., Recipe], train: Callable[..., Run], tmp_path: Path
) -> None:
    rows = [{**row, "author": f"author {i // 4}"} for i, row in enumerate(topic_rows(96))]
    file = tmp_path / "topics.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    data = {"source": str(file), "group": "author"}
    for method in ("lora", "head"):
        recipe = make_recipe(method, data=data, training={"max_steps": 2})
        run = train(recipe, 0, tmp_path / "runs")
        assert run.state == "finished", run.reason
    table = pq.read_table(run.path / "predictions.parquet").to_pydict()
    author = {f"topics.jsonl:{line}": row["author"] for line, row in enumerate(rows, start=1)}
    assert table["group"] == [author[row_id] for row_id in table["id"]]
    (verdict,) = compare([tmp_path / "runs"]).verdicts
    assert verdict["grouped"] and verdict["items"] == len(set(table["group"])) == 6
