"""New study: a form for each method, whose values go into its recipe and the address."""

from __future__ import annotations

import pytest
from made_runs import RunsFolder
from new_study_kit import SETTLED, press, settled
from opening import open_view, texts
from streamlit.testing.v1 import AppTest

from layout import plain
from workbench.recipe import load_recipes

pytestmark = pytest.mark.usefixtures("planned")


def number(app: AppTest, label: str, method: str):
    """The box of a method's setting."""
    return next(n for n in app.number_input if n.label == label and f"of:{method}:" in n.key)


def test_each_method_has_a_form_that_starts_from_its_own_values(
    runs: RunsFolder, reviews: str, planned: list[list[str]]
) -> None:
    app = settled(open_view("new", data=reviews, **SETTLED))
    assert not any("--set" in words for words in planned)
    shown = {each: number(app, "learning rate", each).value for each in ("full", "lora", "prompt")}
    tuned = {each: load_recipes(f"quickstart/{each}")[0].learning_rate for each in shown}
    assert shown == tuned
    # At most ten passes over so few rows.
    assert {number(app, "epochs", each).value for each in shown} == {10.0}
    number(app, "rank (r)", "lora").set_value(4).run()
    number(app, "epochs", "prompt").set_value(2.0).run()
    said = ["lora:method.r=4", "prompt:training.epochs=2.0"]
    assert app.query_params["values"] == said
    again = settled(open_view("new", **{**app.query_params}))
    assert number(again, "rank (r)", "lora").value == 4
    words = planned[-1]
    assert [words[i + 1] for i, w in enumerate(words) if w == "--set"] == said
    press(again, "Back to the usual values")
    assert "values" not in again.query_params and number(again, "rank (r)", "lora").value == 8


def test_values_of_a_method_wait_until_it_is_ticked_again(
    runs: RunsFolder, reviews: str, planned: list[list[str]]
) -> None:
    app = open_view("new", data=reviews, **SETTLED, method=["full"], values="lora:method.r=4")
    settled(app)
    assert app.query_params["values"] == "lora:method.r=4" and "--set" not in planned[-1]
    next(c for c in app.checkbox if c.label == "lora").check().run()
    settled(app)
    assert number(app, "rank (r)", "lora").value == 4 and "lora:method.r=4" in planned[-1]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("lora:method.r=-3", "method.r"),
        ("lora:method.rank=3", "method.rank"),
        ("lora:training.epochs=many", "training.epochs"),
        ("lora:method.target_modules=[", "method.target_modules"),
        ("training.learning_rate=1", "belongs to one method"),
    ],
)
def test_a_value_that_cannot_be_is_said_and_nothing_is_planned(
    runs: RunsFolder, reviews: str, planned: list[list[str]], value: str, said: str
) -> None:
    app = open_view("new", data=reviews, **SETTLED, values=value)
    assert not app.exception and said in texts(app).replace("\\", "") and not planned
    assert app.query_params["values"] == value


def test_a_link_sets_no_value_that_reads_or_fetches(
    runs: RunsFolder, reviews: str, planned: list[list[str]]
) -> None:
    values = ["data.source=/etc/passwd", "lora:training.precision=bf16", "method={name: peft}"]
    app = settled(open_view("new", data=reviews, **SETTLED, values=values))
    said = "A link cannot set data.source, lora:training.precision, method."
    assert plain(said) in texts(app) and "--set" not in planned[-1]
