"""The task and the columns are told by what the columns hold, else by name, else asked for."""

from __future__ import annotations

import random

import pytest

from tests.own_data import KINDS, THINGS, clean_reviews, sentence, write_rows
from workbench.data.preview import preview
from workbench.errors import DataError, UsageError
from workbench.new_study import Ambiguous, Given
from workbench.new_study.guess import guess
from workbench.new_study.unpack import unpack
from workbench.recipe.schema import DataSpec

DRAW = random.Random(0)
TEXT = [sentence(DRAW, THINGS, i) for i in range(60)]
OTHER = [sentence(DRAW, THINGS, i + 1000) for i in range(60)]
COUNTRY = [DRAW.choice(["DE", "FR", "US"]) for _ in range(60)]
COLOUR = [DRAW.choice(["red", "blue", "green"]) for _ in range(60)]
STARS = [DRAW.randint(1, 5) for _ in range(60)]


def guessed(tmp_path, columns, *, suffix=".jsonl", **given):
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    path = write_rows(tmp_path / f"x{suffix}", rows)
    return guess(preview(DataSpec(source=str(path))), Given(**given))


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_own_data_is_known_by_what_it_holds(kind, tmp_path):
    make, task, data = KINDS[kind]
    path = make(tmp_path / kind)
    if path.suffix == ".zip":
        path = unpack(path, tmp_path / "data")
    found = guess(preview(DataSpec(source=str(path))), Given())
    assert (found.task, found.data) == (task, data)
    assert found.reasons[0][:2] == ("task", task["name"]) and found.reasons[0].why


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("columns", "task", "data"),
    [
        ({"a": TEXT, "b": COLOUR}, {}, {"text": "a", "label": "b"}),
        ({"a": TEXT, "b": STARS}, {}, {"text": "a", "label": "b"}),
        (
            {"a": TEXT, "b": [i + DRAW.random() for i in range(60)]},
            {"problem_type": "regression"},
            {"text": "a", "label": "b"},
        ),
        (
            {"t": TEXT, "x": [i % 2 for i in range(60)], "y": [i // 2 % 2 for i in range(60)]},
            {"problem_type": "multi_label_classification"},
            {"text": "t", "label": ["x", "y"]},
        ),
        # One text is many times as long as the other: the long one is read.
        (
            {"head": [f"all about {t.split()[1]} {i}" for i, t in enumerate(TEXT)],
             "body": [f"{a} {b} {a}" for a, b in zip(TEXT, OTHER, strict=True)], "b": COLOUR},
            {},
            {"text": "body", "label": "b"},
        ),
        # A price has more values than a class.
        ({"a": TEXT, "price": [i / 7 for i in range(60)], "b": COLOUR}, {},
         {"text": "a", "label": "b"}),
        # The number of a row is no class, whatever it is called.
        ({"label": list(range(60)), "a": TEXT, "b": COLOUR}, {}, {"text": "a", "label": "b"}),
    ],
)  # fmt: skip
def test_classification_by_what_the_columns_hold(tmp_path, columns, task, data, suffix):
    found = guessed(tmp_path, columns, suffix=suffix)
    assert found.task == {"name": "text-classification", **task}
    assert found.data == data


@pytest.mark.parametrize(
    ("columns", "task", "data"),
    [
        ({"prompt": TEXT, "completion": OTHER}, "instruction",
         {"text": "prompt", "label": "completion"}),
        ({"instruction": TEXT, "input": ["", *OTHER[1:]],
          "output": [t[::-1] for t in TEXT]}, "instruction",
         {"text": "instruction", "text_pair": "input", "label": "output"}),
        ({"x": [[{"role": "user", "content": t}, {"role": "assistant", "content": o}]
                for t, o in zip(TEXT, OTHER, strict=True)]}, "instruction", {"text": "x"}),
        ({"x": TEXT}, "causal-lm", {"text": "x"}),
        ({"w": [t.split() for t in TEXT], "t": [["O"] * len(t.split()) for t in TEXT]},
         "token-classification", {"text": "w", "label": "t"}),
        ({"c": TEXT, "q": [f"what of it {i}?" for i in range(60)],
          "a": [f"number {i}" for i in range(60)]}, "question-answering",
         {"text": "c", "text_pair": "q", "label": "a"}),
    ],
)  # fmt: skip
def test_other_tasks_by_what_the_columns_hold(tmp_path, columns, task, data):
    found = guessed(tmp_path, columns)
    assert (found.task, found.data) == ({"name": task}, data)


def test_names_decide_only_where_the_content_leaves_several(tmp_path):
    columns = {"text": TEXT, "country": COUNTRY, "sentiment": COLOUR}
    assert guessed(tmp_path, columns).data["label"] == "sentiment"


@pytest.mark.parametrize(
    ("columns", "key", "candidates"),
    [
        ({"text": TEXT, "country": COUNTRY, "colour": COLOUR}, "label", ("country", "colour")),
        ({"a": TEXT, "b": OTHER}, "text", ("a", "b")),
        ({"a": TEXT, "b": OTHER, "c": [t[::-1] for t in TEXT], "l": COLOUR}, "text",
         ("a", "b", "c")),
        ({"prompt": TEXT, "answer": OTHER, "country": COUNTRY}, "task",
         ("text-classification", "instruction")),
    ],
)  # fmt: skip
def test_what_nothing_decides_is_asked_for_with_the_candidates(tmp_path, columns, key, candidates):
    with pytest.raises(Ambiguous) as caught:
        guessed(tmp_path, columns)
    assert (caught.value.key, caught.value.candidates) == (key, candidates)
    for candidate in candidates:
        assert f"--{key} {candidate}" in caught.value.fix


def test_what_is_said_wins_over_the_guess(tmp_path):
    columns = {"text": TEXT, "country": COUNTRY, "colour": COLOUR}
    assert guessed(tmp_path, columns, label="colour").data == {"text": "text", "label": "colour"}
    assert guessed(tmp_path, columns, task="masked-lm").task == {"name": "masked-lm"}
    two = {"a": TEXT, "b": OTHER}
    assert guessed(tmp_path, two, text="b").data == {"text": "b", "label": "a"}
    assert guessed(tmp_path, two | {"l": COLOUR}, text="b").data == {"text": "b", "label": "l"}
    assert guessed(tmp_path, two, task="causal-lm", text="b").data == {"text": "b"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"label": "coluor"}, ["--label", "no column 'coluor'", "did you mean 'colour'?"]),
        ({"task": "token-clasification"}, ["--task", "did you mean token-classification?"]),
        ({"task": "token-classification"}, ["no column that could be the words", "--text"]),
    ],
)
def test_what_cannot_be_is_refused_with_what_could(tmp_path, given, words):
    with pytest.raises(UsageError) as caught:
        guessed(tmp_path, {"text": TEXT, "colour": COLOUR}, **given)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "values", "group"),
    [
        ("author", [f"p{i % 12}" for i in range(60)], "author"),
        ("patient_id", [100 + i % 12 for i in range(60)], "patient_id"),
        ("author", [f"p{i}" for i in range(60)], None),  # each once: nothing to keep together
        ("author", [f"p{i % 3}" for i in range(60)], None),  # too few to split
    ],
)
def test_rows_of_one_author_are_kept_together(tmp_path, name, values, group):
    found = guessed(tmp_path, {"text": TEXT, "label": COLOUR, name: values})
    assert found.data.get("group") == group
    assert (
        "group"
        not in guessed(tmp_path, {"text": TEXT, "label": COLOUR, name: values}, group="").data
    )


def test_texts_that_stand_in_several_pairs_are_kept_together(tmp_path):
    columns = {"premise": [TEXT[i // 3] for i in range(60)], "hypothesis": OTHER, "label": COLOUR}
    assert guessed(tmp_path, columns).data["group"] == "premise"


def test_a_column_of_splits_is_no_label(tmp_path):
    part = ["test" if i % 5 == 0 else "train" for i in range(60)]
    found = guessed(tmp_path, {"text": TEXT, "label": COLOUR, "part": part})
    assert found.data == {"text": "text", "label": "label", "split_column": "part"}


def test_files_named_as_splits_are_splits(tmp_path):
    folder = tmp_path / "reviews"
    folder.mkdir()
    for name in ("reviews_train.csv", "reviews-dev.csv", "reviews.test.csv"):
        clean_reviews(folder / name, 30)
    found = preview(DataSpec(source=str(folder)))
    assert found.sizes == {"train": 30, "validation": 30, "test": 30}
    assert found.spec.splits.model_dump() == {
        "train": "reviews_train.csv",
        "validation": "reviews-dev.csv",
        "test": "reviews.test.csv",
    }
    assert guess(found, Given()).data == {"text": "review", "label": "stars"}


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([f"c{i % 30}" for i in range(60)], "--label 'label' for text-classification"),
        (["pos"] * 60, "with one class there is nothing to classify"),
    ],
)
def test_a_column_called_label_that_repeats_is_not_left_out_in_silence(labels, said, tmp_path):
    columns = {"text": TEXT, "label": labels}
    with pytest.raises(UsageError) as refused:
        guessed(tmp_path, columns, suffix=".csv")
    assert said in str(refused.value) and "--task causal-lm" in str(refused.value)
    assert guessed(tmp_path, columns, task="causal-lm").data == {"text": "text"}


def test_a_csv_with_semicolons_is_no_table_of_one_column(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("text;label\na film, b, c;neg\n")
    with pytest.raises(DataError, match="set data.separator: semicolon"):
        preview(DataSpec(source=str(path)))
    found = preview(DataSpec(source=str(path), separator="semicolon"))
    assert found.columns == {"text": ["a film, b, c"], "label": ["neg"]}


@pytest.mark.parametrize("labels", ["pos neg", "pos pos"])
def test_texts_in_columns_of_one_name_are_refused_as_such(labels, tmp_path):
    path = tmp_path / "x.csv"
    rows = [f"{text},x,{labels.split()[i % 2]}" for i, text in enumerate(TEXT)]
    path.write_text("\n".join(["text,text,label", *rows]))
    with pytest.raises(UsageError) as refused:
        guess(preview(DataSpec(source=str(path))), Given())
    assert "text: several columns have this name" in str(refused.value)


def test_a_first_line_that_is_a_row_is_no_header(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("".join(f"{text},{'neg' if i % 2 else 'pos'}\n" for i, text in enumerate(TEXT)))
    with pytest.raises(UsageError, match="the first line holds 'pos'"):
        guess(preview(DataSpec(source=str(path))), Given())


SINGLE, REGRESSION = "single_label_classification", "regression"


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
@pytest.mark.parametrize(
    ("labels", "taken", "why"),
    [
        (STARS, SINGLE, "holds 5 different whole numbers"),
        ([i % 10 for i in range(60)], SINGLE, "10 different whole numbers"),
        ([i % 30 for i in range(60)], REGRESSION, "30 different whole numbers"),
        ([i % 9 / 2 for i in range(60)], REGRESSION, "9 different numbers, not all of them whole"),
        ([f"{i % 3} of 3" for i in range(60)], SINGLE, None),
        ([i % 2 for i in range(60)], SINGLE, None),  # yes and no, nothing to ask
    ],
)
def test_numbers_as_labels_say_what_they_are_taken_for_and_what_else_they_could_be(
    tmp_path, labels, taken, why, suffix
):
    found = guessed(tmp_path, {"text": TEXT, "label": labels}, suffix=suffix)
    assert found.task.get("problem_type", SINGLE) == taken
    reasons = [each for each in found.reasons if each.key == "problem_type"]
    assert [each.value for each in reasons] == ([taken] if why else [])
    for reason in reasons:
        assert why in reason.why and {taken, reason.other} == {SINGLE, REGRESSION}
        said = guessed(
            tmp_path, {"text": TEXT, "label": labels}, suffix=suffix, problem_type=reason.other
        )
        assert said.task.get("problem_type", SINGLE) == reason.other
        (again,) = [each for each in said.reasons if each.key == "problem_type"]
        assert (again.why, again.other) == ("as said", taken)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"problem_type": "regresion"}, "Did you mean regression?"),
        ({"problem_type": REGRESSION, "task": "causal-lm"}, "causal-lm has no problem type"),
    ],
)
def test_a_problem_type_that_cannot_be_is_refused(tmp_path, given, words):
    with pytest.raises(UsageError) as refused:
        guessed(tmp_path, {"text": TEXT, "label": STARS}, **given)
    assert words in str(refused.value) and "--problem-type" in str(refused.value)
