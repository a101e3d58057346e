"""What may be searched, and what is said of what may not."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import RecipeError, UsageError
from workbench.recipe.schema import Recipe
from workbench.tuning.journal import Journal
from workbench.tuning.space import (
    LEARNING_RATE,
    Choices,
    Range,
    Space,
    own_values,
    parse_searches,
    spaces_of,
    with_values,
)

Make = Callable[..., Recipe]


def test_every_method_is_searched_by_the_same_rule(make_recipe: Make) -> None:
    """A tenth to ten times the recipe's own rate, or its method's where it has none."""
    own = make_recipe("lora", training={"learning_rate": 4e-4})
    recipes = [make_recipe("full"), make_recipe("lora"), make_recipe("prompt"), own]
    spaces = spaces_of(recipes, {})
    assert [str(space[LEARNING_RATE]) for space in spaces] == [
        "5e-06..0.0005",
        "0.0003..0.03",
        "0.003..0.3",
        "4e-05..0.004",
    ]
    assert all(set(space) == {LEARNING_RATE} for space in spaces)
    assert own_values(recipes[1], spaces[1]) == {LEARNING_RATE: 3e-3}


def test_searches_are_read(make_recipe: Make) -> None:
    texts = [
        "method.r=4,8,16",
        "training.learning_rate=1e-4..1e-2",
        "training.lr_scheduler=linear,cosine",
    ]
    searches = parse_searches([*texts, "method.alpha=1..32"])
    assert searches == {
        "method.r": Choices((4, 8, 16)),
        LEARNING_RATE: Range(1e-4, 1e-2),
        "training.lr_scheduler": Choices(("linear", "cosine")),
        "method.alpha": Range(1, 32),
    }
    full, lora = spaces_of([make_recipe("full"), make_recipe("lora")], searches)
    assert set(full) == {LEARNING_RATE, "training.lr_scheduler"}, "full has no rank"
    assert set(lora) == set(searches)
    changed = with_values(make_recipe("lora"), {"method.r": 16, LEARNING_RATE: 2e-4})
    assert changed.method.model_dump()["r"] == 16 and changed.learning_rate == 2e-4
    assert parse_searches(f"{key}={wanted}" for key, wanted in searches.items()) == searches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("method.r", "'method.r' is not of the form KEY=VALUES"),
        ("=4,8", "'=4,8' is not of the form KEY=VALUES"),
        ("method.r=", "'method.r=' is not of the form KEY=VALUES"),
        ("method.r=4\n,8", "is not of the form KEY=VALUES"),
        ("method.r=4", "method.r: '4' is only one value to search"),
        ("method.r=4,4", "method.r: '4,4' has a duplicate"),
        ("method.r=4,,8", "method.r: '' is empty"),
        ("method.target_modules=[query],[value]", "'[query]' is not a single value"),
        ("training.epochs=2..", "training.epochs: '' is empty"),
        ("training.epochs=..2", "training.epochs: '' is empty"),
        ("training.epochs=a..b", "training.epochs: 'a..b' is not a range of two numbers"),
        ("training.epochs=1...2", "training.epochs: 1...2 is not a range"),
        ("method.dropout=0..0.5", "method.dropout: 0..0.5 is not a range"),
        ("training.epochs=4..2", "training.epochs: 4..2 is not a range"),
        ("training.epochs=1...inf", "training.epochs: 1...inf is not a range"),
        ("data.test_size=0.1,0.2", "data.test_size cannot be searched"),
        ("method.name=lora,full", "method.name cannot be searched"),
        ("seeds=1,2", "seeds cannot be searched"),
    ],
)
def test_what_is_no_search_is_refused_in_one_message(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_searches([text])
    assert message in str(caught.value) and str(caught.value).startswith("--search: ")


def test_searches_that_fit_no_recipe_are_refused(make_recipe: Make) -> None:
    with pytest.raises(UsageError, match="searched twice"):
        parse_searches(["method.r=1,2", "method.r=3,4"])
    with pytest.raises(UsageError, match="no recipe has a key method.rank"):
        spaces_of([make_recipe("lora")], parse_searches(["method.rank=1,2"]))
    with pytest.raises(RecipeError, match=r"--search \(tiny/lora\): method.r: found 4096"):
        spaces_of([make_recipe("lora")], parse_searches(["method.r=8,4096"]))
    with pytest.raises(RecipeError, match="micro_batch_size: 64 is more than batch_size"):
        spaces_of([make_recipe("lora")], parse_searches(["training.micro_batch_size=4,64"]))
    unseen = make_recipe("lora", data={"validation_size": None}, training={"keep": "last"})
    with pytest.raises(UsageError, match="no validation split to tune on"):
        spaces_of([unseen], {})


SPACE: Space = {LEARNING_RATE: Range(1e-4, 1e-2), "method.r": Choices((4, 8, 16))}


def _searched(path: Path, count: int, *, reopened: bool = False) -> list[dict[str, object]]:
    """What a search tries whose best learning rate is 2e-3, and which loses every third trial."""

    def opened() -> Journal:
        return Journal(path, SPACE, higher=True, seed=7)

    journal = opened()
    while len(journal) < count:
        number = len(journal)
        values = journal.begin({LEARNING_RATE: 1e-3, "method.r": 8})
        journal = opened() if reopened else journal
        assert journal.outcome(number) is None and journal.values(number) == values
        score = None if number % 3 == 2 else -abs(values[LEARNING_RATE] - 2e-3)
        journal.end(number, score, {"score": score})
        journal = opened() if reopened else journal
        assert journal.outcome(number) == {"score": score}
    return [journal.values(number) for number in range(count)]


def test_an_interrupted_search_tries_what_an_uninterrupted_one_would(tmp_path: Path) -> None:
    whole = _searched(tmp_path / "whole.jsonl", 9)
    assert whole == _searched(tmp_path / "reopened.jsonl", 9, reopened=True)
    assert whole[0] == {LEARNING_RATE: 1e-3, "method.r": 8}
    assert len({tuple(values.items()) for values in whole}) == 9
    assert all(float(f"{values[LEARNING_RATE]:.3g}") == values[LEARNING_RATE] for values in whole)


def test_half_a_line_of_the_journal_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "optuna.jsonl"
    before = _searched(path, 3)
    with open(path, "ab") as file:
        file.write(b'{"op_code":4,"worker_id"')
    assert _searched(path, 4)[:3] == before


def test_a_search_of_few_values_repeats_none(tmp_path: Path) -> None:
    space: Space = {"method.r": Choices((1, 2, 3, 4)), "training.lr_scheduler": Choices(("a", "b"))}
    journal = Journal(tmp_path / "optuna.jsonl", space, higher=False, seed=0)
    for number in range(8):
        journal.begin(None)
        journal.end(number, 1.0, {})
    assert len({tuple(journal.values(number).items()) for number in range(8)}) == 8


def test_the_sampler_goes_where_the_scores_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twelve trials end nearer to the best rate, 2.5e-3, than twelve random ones; rates above
    5e-3 diverge."""

    def distance(path: Path, seed: int) -> float:
        journal = Journal(path, {LEARNING_RATE: Range(1e-4, 1e-2)}, higher=True, seed=seed)
        found = []
        for number in range(12):
            rate = journal.begin({LEARNING_RATE: 1e-3})[LEARNING_RATE]
            away = abs(math.log(rate / 2.5e-3))
            found.append(away if rate < 5e-3 else math.inf)
            journal.end(number, -away if rate < 5e-3 else None, {})
        return min(found)

    guided = [distance(tmp_path / f"guided-{seed}", seed) for seed in range(10)]
    monkeypatch.setattr("workbench.tuning.journal.RANDOM_TRIALS", 12)
    random = [distance(tmp_path / f"random-{seed}", seed) for seed in range(10)]
    assert sum(guided) < 0.7 * sum(random), (guided, random)
