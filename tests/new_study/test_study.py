"""From data to a study: problems with remedies, and recipes."""

from __future__ import annotations

import csv
import random
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.own_data import KINDS, WORDS, clean_reviews, prompts, reviews, sentence, write_rows
from workbench.errors import DataError, RecipeError, UsageError
from workbench.new_study import Choices, Given, files_of, inspect, with_all_remedies, write_study
from workbench.new_study.plan import detectable
from workbench.new_study.unpack import unpack
from workbench.recipe import load_recipes, recipes_dir
from workbench.recipe.methods import METHOD_SPECS


def looked_at(path, **more):
    return inspect(Choices(name="my-study", source=str(path), **more), path.parent / "my-data")


def recipes_of(inspected):
    return {recipe.name: recipe for recipe in inspected.checked.draft.recipes()}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "reviews.csv"])
def test_each_kind_of_own_data_is_split_and_becomes_recipes(kind, tmp_path):
    found = looked_at(KINDS[kind][0](tmp_path / kind))
    data = found.checked.data
    assert not found.checked.problems and data is not None
    assert len(data.test) >= 8 and len(data.train) > len(data.test)
    assert list(recipes_of(found)) == ["full", "lora", "prompt"]
    if "group" in KINDS[kind][2]:
        assert not set(data.train.groups) & set(data.test.groups)


def test_all_problems_stand_in_one_list_and_their_remedies_settle_them(tmp_path):
    found = looked_at(reviews(tmp_path / "reviews.csv"))
    first, second = found.checked.problems
    assert "missing label, 10 of 600 rows: reviews.csv:9 ('')" in first.what
    assert [each.option for each in first.remedies] == ["--drop-unusable"]
    assert second.what.startswith("label 'pos' (") and "slip for 'positive'" in second.what
    options = ["--merge-labels pos=positive", "--keep-labels"]
    assert [each.option for each in second.remedies] == options
    settled = inspect(with_all_remedies(found), tmp_path)
    assert not settled.checked.problems
    assert settled.checked.data.label_names == ("negative", "neutral", "positive")
    splits = (
        settled.checked.data.train,
        settled.checked.data.validation,
        settled.checked.data.test,
    )
    assert sum(map(len, splits)) == 590
    command = settled.choices.command()
    assert command.endswith("--drop-unusable --merge-labels pos=positive")
    kept = inspect(
        replace(settled.choices, data={"unusable_rows": "drop"}, keep_labels=True), tmp_path
    )
    assert kept.checked.data.label_names == ("negative", "neutral", "pos", "positive")


def test_labels_that_differ_only_in_case_are_read_as_one(tmp_path):
    path = clean_reviews(tmp_path / "x.csv")
    text = path.read_text(encoding="utf-8").replace("positive\n", "Positive\n", 9)
    path.write_text(text, encoding="utf-8")
    found = looked_at(path)
    assert found.checked.data.label_names == ("negative", "neutral", "positive")
    assert any(each.key == "normalise_labels" for each in found.checked.draft.reasons)
    apart = looked_at(path, overrides=("data.normalise_labels=false",), keep_labels=True)
    assert len(apart.checked.data.label_names) == 4


@pytest.mark.parametrize(
    ("names", "slips"),
    [
        (["sport"] * 50 + ["sports"] * 5, ["sports"]),
        (["negative"] * 50 + ["negativ"] * 2 + ["other"] * 40, ["negativ"]),
        (["sport"] * 30 + ["sports"] * 25, []),  # both are frequent
        (["1"] * 50 + ["10"] * 5, []),  # numbers
        (["yes"] * 50 + ["no"] * 5, []),
    ],
)
def test_only_a_rare_label_that_looks_like_a_frequent_one_may_be_a_slip(tmp_path, names, slips):
    rows = [{"text": f"this is the text of {i}", "label": name} for i, name in enumerate(names)]
    problems = looked_at(write_rows(tmp_path / "x.csv", rows)).checked.problems
    assert [each.what.split("'")[1] for each in problems] == slips


def test_each_method_starts_from_values_of_its_own(tmp_path):
    path = clean_reviews(tmp_path / "x.csv", 600)
    methods = ("full", "lora", "prefix", "head")
    embedded = recipes_of(looked_at(path, methods=methods))
    shipped = {recipe.name: recipe for recipe in load_recipes(recipes_dir() / "bbc-news")}
    for name in methods:  # tuned for this model on 800 articles, the nearest in number
        assert embedded[name].learning_rate == shipped[name].learning_rate
        assert embedded[name].method == shipped[name].method
    few = recipes_of(looked_at(clean_reviews(tmp_path / "few.csv", 60)))
    quick = {recipe.name: recipe for recipe in load_recipes(recipes_dir() / "quickstart")}
    assert few["lora"].learning_rate == quick["lora"].learning_rate
    unknown = recipes_of(looked_at(path, methods=methods, model="some/bert"))
    for name in methods:
        assert unknown[name].learning_rate == METHOD_SPECS[name].default_learning_rate
    assert len({recipe.learning_rate for recipe in unknown.values()}) == 3


def test_a_task_that_writes_gets_a_model_that_writes_and_a_short_test(tmp_path):
    found = looked_at(prompts(tmp_path / "x.jsonl"))
    assert recipes_of(found)["lora"].model.source == "asset:smollm2-135m"
    rows = [{"prompt": f"what is {i} in words", "completion": f"it is {i} in words"}
            for i in range(2000)]  # fmt: skip
    assert len(looked_at(write_rows(tmp_path / "y.jsonl", rows)).checked.data.test) == 200


def test_a_method_that_does_not_go_with_the_task_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="instruction brings no new head"):
        looked_at(prompts(tmp_path / "x.jsonl"), methods=("lora", "head"))


@pytest.mark.parametrize(
    ("suffix", "character", "name"),
    [
        (".csv", ";", "semicolon"),
        (".csv", "\t", "tab"),
        (".csv", "|", "bar"),
        (".tsv", ";", "semicolon"),
    ],
)
def test_another_separator_is_told_by_the_first_line_and_said(tmp_path, suffix, character, name):
    usual = clean_reviews(tmp_path / "usual.csv")
    with open(usual, newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    path = tmp_path / f"x{suffix}"
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=character).writerows(rows)
    found, expected = looked_at(path), looked_at(usual)
    assert found.found.columns == expected.found.columns
    data = found.checked.data
    read = [text for split in (data.train, data.validation, data.test) for text in split.texts]
    assert sorted(read) == sorted(row[rows[0].index("review")] for row in rows[1:])
    (reason,) = [each for each in found.checked.draft.reasons if each.key == "separator"]
    assert reason.value == name
    assert {each.data.separator for each in recipes_of(found).values()} == {name}
    assert not [each for each in expected.checked.draft.reasons if each.key == "separator"]
    said = looked_at(path, overrides=(f"data.separator={name}",))
    assert said.found.columns == expected.found.columns
    assert "separator" not in [each.key for each in said.checked.draft.reasons]


def test_a_value_of_one_method_goes_into_its_recipe_alone(tmp_path):
    said = ("training.epochs=4", "lora:method.r=4", "lora: training.epochs=7")
    found = looked_at(clean_reviews(tmp_path / "x.csv"), overrides=said)
    recipes = recipes_of(found)
    assert recipes["lora"].method.r == 4
    assert {name: each.training.epochs for name, each in recipes.items()} == {
        "full": 4, "lora": 7, "prompt": 4,
    }  # fmt: skip
    files = files_of(found.checked.draft, tmp_path / "my-recipes" / "x")
    assert "set by hand: method.r, training.epochs" in files["lora.yaml"]
    assert "r: 4" in files["lora.yaml"] and "by hand" not in files["full.yaml"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"methods": ("lora", "lora")}, "name each method once"),
        ({"methods": ("lroa",)}, "no method called 'lroa'"),
        ({"overrides": ("method.r=4",)}, "method.r belongs to one method"),
        ({"overrides": ("training.learning_rate=1",)}, "learning_rate belongs to one method"),
        ({"overrides": ("ia3:training.epochs=1",)}, "'ia3', which is not among the methods"),
        ({"overrides": ("lora:method.name=full",)}, "method.name cannot differ"),
        ({"overrides": ("lora:method={name: full}",)}, "method.name cannot differ"),
        ({"overrides": ("lora:data.train_size=4",)}, "data.train_size cannot differ"),
        ({"given": Given(label="nothing")}, "no column 'nothing'"),
    ],
)
def test_choices_that_cannot_be_are_refused(tmp_path, more, words):
    with pytest.raises(UsageError, match=words):
        looked_at(clean_reviews(tmp_path / "x.csv"), **more)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.csv", b"", "the file is empty"),
        ("x.csv", b"text,label\n", "no rows"),
        ("x.csv", b"text,label\n\xff\xfe,a\n", "not valid utf-8"),
        ("x.csv", b"PK\x03\x04", "a zip archive or an Excel workbook"),
        ("x.zip", b"no zip", "cannot be unpacked"),
        (
            "x.jsonl",
            b'{"text": "a b c d e f"}\n' * 9 + b"[1]\n",
            "a list where an object was expected",
        ),
        ("x.json", b"{", "not valid JSON"),
        ("x.xlsx", b"...", "a .xlsx file"),
        ("x.parquet", b"PAR1", "cannot be read as parquet"),
        ("x.csv", b"a,a\n1,2\n", "no column of texts"),
    ],
)
def test_nasty_files_are_refused_in_words(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises((DataError, UsageError)) as caught:
        found = looked_at(path)
        raise DataError("; ".join(each.what for each in found.checked.problems))
    assert words in str(caught.value)


def test_columns_without_a_name_of_their_own_are_passed_over(tmp_path):
    path = clean_reviews(tmp_path / "x.csv")
    lines = path.read_text(encoding="utf-8").splitlines()
    doubled = ["unused,unused," + lines[0], *(f"1,2,{line}" for line in lines[1:])]
    path.write_text("\n".join(doubled), encoding="utf-8")
    assert looked_at(path).guess.data == {"text": "review", "label": "stars"}


def packed(path: Path, *names: str, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            archive.writestr(info, "some text")
    return path


@pytest.mark.parametrize(
    ("names", "mode", "words"),
    [
        (["../../x/a.txt"], 0, "leads out of it"),
        (["/etc/a.txt"], 0, "leads out of it"),
        (["a/1.txt"], 0o120777, "is a link"),
        (["a/1.pdf", "a/run.sh"], 0, "no file of data"),
        (["a.txt", "a.txt/b.txt"], 0, "two entries of one name"),
    ],
)
def test_zips_that_lead_elsewhere_or_hold_no_data_are_refused(tmp_path, names, mode, words):
    path = packed(tmp_path / "x.zip", *names, mode=mode)
    with pytest.raises(DataError, match=words):
        unpack(path, tmp_path / "data")
    assert not list((tmp_path / "data").iterdir()) and not (tmp_path.parent / "x").exists()


def test_a_zip_is_unpacked_once_and_without_what_is_no_data(tmp_path):
    path = packed(tmp_path / "x.zip", "top/a/1.txt", "top/b/1.txt", "top/a.yaml", "top/.b/2.txt")
    folder = unpack(path, tmp_path / "data")
    assert folder == unpack(path, tmp_path / "data") and folder.name == "top"
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files == {"a/1.txt", "b/1.txt"}


def test_more_seeds_and_texts_show_smaller_differences():
    assert 0.04 < detectable("accuracy", 3, 120) < 0.10
    assert detectable("accuracy", 5, 120) < detectable("accuracy", 3, 120)
    assert detectable("accuracy", 3, 1000) < detectable("accuracy", 3, 120)
    assert detectable("accuracy", 1, 120) is None and detectable("perplexity", 3, 120) is None


def test_words_of_the_reasons_are_safe_in_a_comment(tmp_path):
    rows = [{"text": sentence(random.Random(i), WORDS['neutral'], i),
             "label": "a\nb: [" if i % 2 else "c"} for i in range(60)]  # fmt: skip
    draft = looked_at(write_rows(tmp_path / "x.csv", rows)).checked.draft
    folder = tmp_path / "my-recipes" / "my-study"
    write_study(draft, folder)
    assert len(load_recipes(folder)) == 3
