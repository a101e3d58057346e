"""The numbers that papers published, with where each was read."""

import functools
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from workbench.errors import RecipeError
from workbench.recipe.base import StrictModel
from workbench.recipe.yaml_reader import read_file

FILE = Path(__file__).with_name("papers.yaml")
UNITS = {"k": 1e3, "M": 1e6, "B": 1e9}

Text = Annotated[str, Field(min_length=1)]
Setting = int | float | str | bool


class Paper(StrictModel):
    authors: Text
    title: Text
    arxiv: Annotated[str, Field(pattern=r"^\d{4}\.\d{5}$")]


class Column(StrictModel):
    """One task of a table, and the metric that it reports."""

    name: Text
    data: list[Text] = Field([], description="Hub ids of the data; empty where none is known.")
    config: str | None = None
    split: str | None = Field(None, description="Split of the Hub's data; null where unknown.")
    metric: Text
    scale: Literal[1, 100] = Field(description="100 where the table is in percent of ours.")


class Line(StrictModel):
    label: Text
    model: list[Text] = Field(min_length=1, description="Hub ids of the model.")
    method: str | None = Field(None, description="Its name here; null where it is not offered.")
    trainable: str | None = Field(
        None, pattern=r"^\d+(\.\d+)?[kMB]$", description="As printed, without the task head."
    )
    notes: list[Text] = []
    values: list[float | None]
    spreads: list[float | None] = Field([], description="What stands after ±.")
    column_notes: dict[str, Text] = {}
    setup: dict[str, Setting] = Field({}, description="Recipe keys with the paper's values.")
    setup_by_column: dict[str, list[Setting | None]] = {}
    setup_from: str | None = None


class Table(StrictModel):
    """One table as far as it could be read."""

    paper: str
    name: Text
    what: Text
    read_at: Text
    verified: Literal["read", "quoted"]
    notes: list[Text] = []
    columns: list[Column] = Field(min_length=1)
    rows: list[Line] = Field(min_length=1)


class Published(StrictModel):
    papers: dict[str, Paper]
    tables: list[Table]


@functools.cache
def published() -> Published:
    document, problems = read_file(FILE)
    if problems:
        raise RecipeError(problems)
    return Published.model_validate(document.values)


def printed_count(text: str) -> tuple[float, float]:
    """A printed number of parameters, and half of its last digit: 0.3M is 300,000 ± 50,000."""
    digits, unit = text[:-1], UNITS[text[-1]]
    decimals = len(digits.partition(".")[2])
    return float(digits) * unit, 0.5 * unit / 10**decimals
