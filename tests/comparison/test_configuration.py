"""In what recipes differ."""

from pathlib import Path

import pytest
from fabricated_runs import WriteRun

from workbench.comparison import compare
from workbench.comparison.configuration import read_settings
from workbench.store import Run


def difference(runs: Path) -> dict[str, dict[str, object]]:
    """What the recipes of the only group set differently."""
    (group,) = compare([runs]).groups()
    return group.config_difference()


def test_only_what_differs_is_listed(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("full", seed)
        run("lora", seed, settings={"training": {"learning_rate": 0.001}})
    assert difference(runs) == {
        "method.name": {"full": "full", "lora": "lora"},
        "method.r": {"lora": 8},
        "method.alpha": {"lora": 16.0},
        "method.target_modules": {"lora": ["query", "value"]},
        "training.learning_rate": {"full": 5e-05, "lora": 0.001},  # full's is the method's default
    }


def test_the_same_recipe_has_no_difference(run: WriteRun, runs: Path) -> None:
    for seed in (0, 1):
        run("lora", seed)
    assert difference(runs) == {}


def test_keys_that_an_older_version_lacks_and_what_is_measured_besides_are_no_difference(
    run: WriteRun, runs: Path
) -> None:
    added = {"model": {"resize_embeddings": False}, "data": {"source": "a", "quoting": "auto"}}
    run("lora", 0, settings=added | {"evaluation": {"retention": False}})
    run("lora", 0, settings={"data": {"source": "a"}}, study="older")
    run("lora", 0, settings={"data": {"source": "a", "quoting": "none"}}, study="other")
    assert difference(runs) == {
        "data.quoting": {"bbc-news/lora": "auto", "older/lora": "auto", "other/lora": "none"}
    }


def test_an_evaluation_batch_left_to_the_device_is_the_32_of_earlier_versions(
    run: WriteRun, runs: Path
) -> None:
    for study, size in (("earlier", 32), ("later", "auto"), ("small", 8)):
        run("lora", 0, study=study, settings={"training": {"eval_batch_size": size}})
    assert difference(runs) == {
        "training.eval_batch_size": {"earlier/lora": 32, "later/lora": 32, "small/lora": 8}
    }


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "a: [", "a: &a [1]\nb: [*a, *a]", "a: " + "[" * 5000, "a: !!python/x 1"]
)
def test_a_recipe_that_cannot_be_read_is_left_out(run: WriteRun, runs: Path, text: str) -> None:
    run("lora", 0)
    run("prefix", 0)
    (run("full", 0) / "recipe.yaml").write_text(text)
    found = difference(runs)
    assert found["method.r"] == {"lora": 8}
    assert all("full" not in values for values in found.values())
    assert {row["label"] for row in compare([runs]).rows} == {"lora", "prefix", "full"}


def test_labels_tell_variants_apart(run: WriteRun, runs: Path) -> None:
    run("lora", 0, 0.99, fingerprint="aa" * 32, settings={"training": {"epochs": 4.0}})
    run("lora", 0, 0.98, fingerprint="bb" * 32, settings={"training": {"epochs": 1.0}})
    run("lora", 0, 0.97, study="other")
    long = {f"key_{i}": i for i in range(20)}
    run("prefix", 0, 0.5, fingerprint="cc" * 32, settings={"training": long})
    run("prefix", 0, 0.4, fingerprint="dd" * 32)
    assert [row["label"] for row in compare([runs]).rows] == [
        "bbc-news/lora [epochs=4.0]",
        "bbc-news/lora [epochs=1.0]",
        "other/lora",
        "prefix [cccccccc]",
        "prefix [dddddddd]",
    ]


def test_the_table_names_what_differs_besides_the_method(run: WriteRun, runs: Path) -> None:
    run("full", 0)
    run("lora", 0)
    text = " ".join(compare([runs]).to("table", width=300).split())
    assert "the recipes differ in training.learning_rate = 5e-05 (full), 0.003 (lora)" in text


@pytest.mark.parametrize(
    "text", ["[" * 50_000 + "]" * 50_000, "- " * 50_000 + "a", "{a: " * 50_000]
)
def test_a_recipe_nested_without_end_is_unreadable(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(path=tmp_path, state="finished", reason="")
    monkeypatch.setattr(Run, "recipe_text", lambda _: text)
    assert read_settings(run) == {}
