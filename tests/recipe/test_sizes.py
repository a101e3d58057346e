"""Recipes with other numbers of training examples."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.errors import RecipeError, UsageError
from workbench.recipe import Recipe
from workbench.recipe.sizes import parse_sizes, size_variants

Make = Callable[..., Recipe]


def test_parse_sizes_sorts_and_refuses_what_is_no_curve() -> None:
    assert parse_sizes("200, 50,1_000") == [50, 200, 1000]
    for text in ("50", "50,50", "0,50", "a,50", "50,,100", "0.5,50"):
        with pytest.raises(UsageError, match="two or more numbers of training examples"):
            parse_sizes(text)


def test_size_variants_draw_by_run_in_a_study_of_their_own(make_recipe: Make) -> None:
    variants = size_variants([make_recipe("lora"), make_recipe("head")], [10, 20])
    assert list(variants) == [("lora", 10), ("head", 10), ("lora", 20), ("head", 20)]
    lora = variants["lora", 20]
    assert (lora.study, lora.name) == ("tiny-curve", "lora-n20")
    assert (lora.data.train_size, lora.data.train_draw) == (20, "run")
    assert lora.data.test_size == make_recipe("lora").data.test_size


def test_size_variants_refuse_what_cannot_be_on_one_curve(make_recipe: Make) -> None:
    lora = make_recipe("lora")
    for other, why in (
        (make_recipe("head", study="other"), "several studies"),
        (make_recipe("head", data={"test_size": 9}), "data.test_size"),
        (make_recipe("lora"), "same name"),
    ):
        with pytest.raises(UsageError, match=why):
            size_variants([lora, other], [10, 20])
    with pytest.raises(RecipeError, match="name"):
        size_variants([make_recipe("lora", name="x" * 79)], [10, 20])
