"""`workbench new`: one command from a file of data to a comparison."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from workbench.recipe import load_recipes
from workbench.store import list_runs

SMALL = ("--set", "training.epochs=1", "--set", "training.precision=fp32", "--set",
         "training.batch_size=8")  # fmt: skip


@pytest.fixture
def topics(topics_file, tmp_path):
    """The tiny data in the current folder."""
    (tmp_path / "here").mkdir(exist_ok=True)
    return Path(shutil.copy(topics_file, tmp_path / "here" / "topics.jsonl"))


@pytest.mark.integration
def test_from_a_file_to_a_comparison(workbench, topics, tiny_bert):
    command = ("new", "topics", "--data", "topics.jsonl", "--model", tiny_bert, "--methods",
               "full,lora", "--seeds", "2", *SMALL)  # fmt: skip
    dry = workbench(*command, "--dry-run")
    assert dry.code == 0 and "not written" in dry.out and not Path("my-recipes").exists()
    first = workbench(*command)
    assert first.code == 0, first.err
    for words in ("label  (3 different values", "20% of the rows", "2 recipes, 4 runs",
                  "2 seeds and", "workbench run my-recipes/topics"):  # fmt: skip
        assert words in first.out + first.err, words
    assert not Path("runs").exists()
    recipes = load_recipes("my-recipes/topics")
    assert [recipe.name for recipe in recipes] == ["full", "lora"]
    assert all(recipe.training.epochs == 1 for recipe in recipes)
    done = workbench(*command, "--run")
    assert done.code == 0, done.err
    assert "there already, just like this" in done.out
    runs = list_runs(Path("runs"))
    assert sorted((run.result["recipe"], run.result["seed"]) for run in runs) == [
        ("full", 0),
        ("full", 1),
        ("lora", 0),
        ("lora", 1),
    ]
    compared = workbench("compare", "topics")
    assert done.out.rstrip().endswith(compared.out.rstrip())
    again = workbench(*command, "--run", "--json").json
    assert again["study"] == "topics" and len(again["runs"]) == 4
    assert {row["label"] for row in again["comparison"]["rows"]} == {"full", "lora"}
    assert {run["id"] for run in again["runs"]} == {run.id for run in runs}
    # The command in the recipe makes the same study.
    made = (Path("my-recipes/topics/_base.yaml")).read_text().splitlines()[0]
    assert workbench(*shlex.split(made.removeprefix("# Made by: workbench"))).code == 0


def test_problems_stand_in_one_list_with_a_command_that_settles_them(workbench, topics):
    rows = [json.loads(line) for line in topics.read_text().splitlines()]
    rows[3]["label"] = ""
    rows[5]["label"] = rows[5]["label"] + "s"
    topics.write_text("".join(json.dumps(row) + "\n" for row in rows))
    refused = workbench("new", "topics", "--data", "topics.jsonl")
    assert refused.code == 2 and not Path("my-recipes").exists()
    assert "2 problems in the data" in refused.err
    assert "missing label, 1 of 96 rows: topics.jsonl:4" in refused.err
    fix = refused.err.rpartition("with all remedies: ")[2].strip()
    slip = rows[5]["label"]
    assert fix == (
        "workbench new topics --data topics.jsonl --drop-unusable "
        f"--merge-labels {slip}={slip[:-1]}"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "--dry-run"], "give one of them"),
        (["--seeds", "0"], "it counts the seeds"),
        (["--seeds", "x"], "--seeds x"),
        (["--merge-labels", "pos"], "'pos' is not of the form A=B"),
        (["--methods", "lroa"], "no method called 'lroa'"),
        (["--label", "lable"], "did you mean 'label'?"),
        (["--set", "method.r=4"], "method.r belongs to one method"),
        (["--set", "data.test_size=0"], "data.test_size"),
    ],
)
def test_wrong_options_are_refused_and_nothing_is_written(workbench, topics, arguments, words):
    answer = workbench("new", "topics", "--data", "topics.jsonl", *arguments)
    assert answer.code == 2 and words in answer.err
    assert not Path("my-recipes").exists()


def test_data_that_is_not_there_is_refused(workbench):
    answer = workbench("new", "topics", "--data", "./reviews.csv")
    assert answer.code == 2 and "cannot be read: No such file" in answer.err


@pytest.mark.slow
def test_a_study_is_whole_or_not_there_whenever_its_making_is_killed(topics, tiny_bert, tmp_path):
    command = [sys.executable, "-P", "-m", "workbench", "new", "topics", "--data", "topics.jsonl",
               "--model", str(tiny_bert), *SMALL]  # fmt: skip
    here = topics.parent
    started = time.monotonic()
    assert subprocess.run(command, cwd=here, capture_output=True, check=False).returncode == 0
    whole = sorted(os.listdir(here / "my-recipes" / "topics"))
    taken = time.monotonic() - started
    for part in (0.5, 0.8, 0.95):
        shutil.rmtree(here / "my-recipes")
        process = subprocess.Popen(
            command, cwd=here, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(part * taken)
        process.send_signal(signal.SIGKILL)
        process.wait()
        folder = here / "my-recipes" / "topics"
        assert not folder.exists() or sorted(os.listdir(folder)) == whole
        if not folder.parent.exists():
            folder.parent.mkdir()
