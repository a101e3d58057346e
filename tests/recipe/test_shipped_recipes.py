"""The shipped recipes: all of them load, none is forgotten, and the pages beside them are true."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from workbench.recipe import (
    Recipe,
    comparability_warnings,
    find_recipes,
    json_schema,
    load_recipe,
    load_recipes,
    recipes_dir,
)
from workbench.recipe.methods import METHOD_SPECS
from workbench.recipe.yaml_reader import read_file

ROOT = Path(__file__).parents[2] / "recipes"
FILES = sorted(p for p in ROOT.rglob("*") if p.suffix in (".yaml", ".yml"))
RECIPES = [p for p in FILES if not p.name.startswith("_")]
STUDIES = sorted(p for p in ROOT.iterdir() if p.is_dir())
TASKS = ("cola", "mnli", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")


def test_every_file_is_found() -> None:
    assert recipes_dir() == ROOT
    assert len(RECIPES) >= 100
    assert find_recipes(ROOT) == RECIPES
    assert len(load_recipes(ROOT)) == len(RECIPES)


def test_the_studies_are_those_that_are_promised() -> None:
    glue = [f"glue-{task}-{model}-base" for task in TASKS for model in ("bert", "roberta")]
    e2e = ["e2e-gpt2", "e2e-gpt2-medium"]
    others = ["conll2003-bert-base", "squad-bert-base", "gnad10-mbert", "wikitext-gpt2"]
    imdb = ["imdb-mlm-bert-base", "imdb-bert-base"]
    bbc = [
        "bbc-headlines",
        "bbc-headlines-nf4",
        "bbc-news",
        "bbc-news-lora",
        "quickstart",
        "quickstart-gpt",
    ]
    names = [*bbc, *glue, *e2e, *others, *imdb]
    assert [study.name for study in STUDIES] == sorted(names)
    methods = {recipe.name for recipe in load_recipes("bbc-news")}
    assert methods == METHOD_SPECS.keys() - {"peft"}


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_recipe_is_short_and_says_what_it_is_for(path: Path) -> None:
    recipe = load_recipe(path)
    assert recipe.study == path.parent.name and recipe.name == path.stem
    assert recipe.description
    assert recipe.training.learning_rate is not None, "learning rates are written out"
    lines = path.read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=../schema.json"
    assert len(lines) <= 12 and max(map(len, lines)) <= 100
    assert "#" in lines[-1], "the trade-off stands beside the values"


@pytest.mark.parametrize("study", STUDIES, ids=lambda p: p.name)
def test_the_recipes_of_a_study_can_be_compared(study: Path) -> None:
    recipes = load_recipes(study)
    assert len(recipes) >= 2
    assert comparability_warnings(recipes) == []
    fingerprints = Counter(recipe.fingerprint for recipe in recipes)
    assert max(fingerprints.values()) == 1


def test_bbc_news_has_the_sizes_that_its_numbers_are_quoted_for() -> None:
    for recipe in load_recipes("bbc-news"):
        assert (recipe.data.train_size, recipe.data.validation_size) == (800, 200)
        assert recipe.data.test_size == 500 and recipe.seeds == [0, 1, 2]
        assert recipe.training.epochs == 2 and recipe.training.batch_size == 16
        assert recipe.model.max_length == 128


def test_lora_on_roberta_has_the_papers_values() -> None:
    """Hu et al. 2021, table 9: batch size, epochs, learning rate."""
    table = {
        "mnli": (16, 30, 5e-4), "sst2": (16, 60, 5e-4), "mrpc": (16, 30, 4e-4),
        "cola": (32, 80, 4e-4), "qnli": (32, 25, 4e-4), "qqp": (16, 25, 5e-4),
        "rte": (32, 80, 5e-4), "stsb": (16, 40, 4e-4),
    }  # fmt: skip
    for task, expected in table.items():
        recipe = load_recipe(ROOT / f"glue-{task}-roberta-base" / "lora.yaml")
        training = recipe.training
        assert (training.batch_size, training.epochs, training.learning_rate) == expected
        method = recipe.method.model_dump()
        assert (method["r"], method["alpha"], method["target_modules"]) == (
            8,
            8,
            ["query", "value"],
        )
        assert (training.warmup_ratio, training.lr_scheduler) == (0.06, "linear")
        assert recipe.model.max_length == 512


def _values(recipe: Recipe, *names: str) -> tuple[Any, ...]:
    """Values of the training section, then of the method."""
    found = recipe.training.model_dump() | recipe.method.model_dump()
    return tuple(found[name] for name in names)


@pytest.mark.parametrize("study", ["e2e-gpt2", "e2e-gpt2-medium"])
def test_e2e_on_gpt2_has_the_papers_values(study: str) -> None:
    """LoRA: Hu et al. 2021, table 11; the others: Li & Liang 2021 with their train_e2e.py."""
    lora = load_recipe(ROOT / study / "lora.yaml")
    assert _values(lora, "learning_rate", "batch_size", "epochs") == (2e-4, 8, 5)
    assert _values(lora, "weight_decay", "lr_scheduler") == (0.01, "linear")
    assert _values(lora, "r", "alpha", "target_modules") == (4, 32, ["c_attn"])
    steps = 42_061 / 8 * 5
    assert round(lora.training.warmup_ratio * steps, -1) == 500
    prefix = load_recipe(ROOT / study / "prefix.yaml")
    assert _values(prefix, "learning_rate", "batch_size", "epochs") == (8e-5, 10, 5)
    assert _values(prefix, "num_virtual_tokens", "projection", "projection_size") == (5, True, 512)
    full = load_recipe(ROOT / study / "full.yaml")
    assert _values(full, "learning_rate", "batch_size", "epochs") == (5e-5, 10, 5)
    for recipe in load_recipes(study):
        decoding = recipe.task.model_dump()["decoding"]
        assert (decoding["num_beams"], decoding["length_penalty"]) == (10, 0.9)
        assert decoding["no_repeat_ngram_size"] == 4
        assert recipe.model.max_length == 512


def test_p_tuning_v2_on_tags_and_spans_has_its_scripts_values() -> None:
    """run_conll03_roberta.sh and run_squad_roberta.sh of THUDM/P-tuning-v2."""
    names = ("num_virtual_tokens", "learning_rate", "batch_size", "dropout")
    tags = load_recipe(ROOT / "conll2003-bert-base" / "prefix.yaml")
    assert _values(tags, *names, "epochs") == (11, 3e-2, 16, 0.1, 30)
    spans = load_recipe(ROOT / "squad-bert-base" / "prefix.yaml")
    assert _values(spans, *names) == (16, 5e-3, 8, 0.2)


def test_bert_on_squad_has_the_papers_values() -> None:
    """Devlin et al. 2019, section 4.2; windows as in run_squad.py."""
    full = load_recipe(ROOT / "squad-bert-base" / "full.yaml")
    assert _values(full, "learning_rate", "batch_size", "epochs") == (5e-5, 32, 3)
    assert (full.model.max_length, full.task.model_dump()["stride"]) == (384, 128)


def test_film_reviews_can_go_on_to_their_sentiment() -> None:
    before = {recipe.name: recipe for recipe in load_recipes("imdb-mlm-bert-base")}
    after = {recipe.name: recipe for recipe in load_recipes("imdb-bert-base")}
    assert before.keys() == after.keys()
    for name, recipe in after.items():
        assert recipe.method == before[name].method
        assert recipe.model == before[name].model
        assert not recipe.method.model_dump().get("projection"), "could not be continued from"


def test_the_published_schema_is_current() -> None:
    published = json.loads((ROOT / "schema.json").read_text(encoding="utf-8"))
    assert published == json_schema(), (
        "run: python -c 'import json; from workbench.recipe import json_schema; "
        "print(json.dumps(json_schema(), indent=2, ensure_ascii=False))' > recipes/schema.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_file_fits_the_published_schema(path: Path) -> None:
    document, problems = read_file(path)
    assert not problems
    jsonschema.Draft202012Validator(json_schema()).validate(document.values)


@pytest.mark.parametrize(
    "text",
    ["method: {name: lora, rr: 1}", "trainig: {}", "training: {epochs: 0}", "seeds: []",
     "method: {name: lroa}", "model: {trust_remote_code: true}"],
)  # fmt: skip
def test_the_published_schema_refuses_what_the_workbench_refuses(text: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(yaml.safe_load(text))


def test_the_readme_lists_every_study_with_its_recipes() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| .+ \| `(.+)` \| (.+) \|$", _readme(), re.MULTILINE)
    listed = {name: (model, names.split(", ")) for name, model, names in rows}
    for study in STUDIES:
        recipes = load_recipes(study)
        expected = (recipes[0].model.source, [recipe.name for recipe in recipes])
        assert listed.pop(study.name) == expected
    assert listed == {}


def test_the_example_of_the_readme_is_the_shipped_recipe() -> None:
    (example,) = re.findall(r"```yaml\n# (.+)\n((?:.+\n)+)```", _readme())
    shipped = yaml.safe_load((ROOT / example[0]).read_text())
    assert yaml.safe_load(example[1]) == shipped


def _readme() -> str:
    return (ROOT / "README.md").read_text(encoding="utf-8")
