"""Bad recipes: what was found, where, what is allowed, what to do. All of it in one report."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import Problem, RecipeError
from workbench.recipe import load_recipe

GOOD = """\
task: {name: text-classification}
model: {source: google-bert/bert-base-uncased}
data: {source: nyu-mll/glue}
method:
  name: lora
  r: 8
training:
  learning_rate: 3e-3
  batch_size: 16
seeds: [0]
"""


def problems_of(tmp_path: Path, text: str, *overrides: str) -> list[Problem]:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, overrides)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def test_the_good_recipe_is_good(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(GOOD)
    assert load_recipe(tmp_path / "recipe.yaml").learning_rate == 3e-3


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "what", "fix"),
    [
        # typing errors in keys
        ("learning_rate", "learnig_rate", 8, "training.learnig_rate",
         "unknown key", "Did you mean learning_rate?"),
        ("training:", "trainig:", 7, "trainig", "unknown key", "Did you mean training?"),
        ("seeds: [0]", "Seeds: [0]", 10, "Seeds", "unknown key", "Did you mean seeds?"),
        ("seeds: [0]", "epochs: 3", 10, "epochs", "unknown key here",
         "`epochs` belongs under `training:`"),
        ("  batch_size", "  r: 4\n  batch_size", 9, "training.r", "unknown key here",
         "`r` belongs under `method:`"),
        ("seeds: [0]", "zzz: 1", 10, "zzz", "unknown key",
         "a recipe has: study, name, description, task, model, data, method, init_from, "),
        ("seeds: [0]", "<<: {a: 1}", 10, "<<", "unknown key", "a recipe has: study, name,"),
        # keys of another method
        ("name: lora", "name: prefix", 6, "method.r",
         "`r` belongs to method lora; this is prefix", "remove it"),
        ("  r: 8", "  num_virtual_tokens: 20", 6, "method.num_virtual_tokens",
         "`num_virtual_tokens` belongs to methods prefix, p-tuning, prompt; this is lora",
         "remove it"),
        ("  r: 8", "  rank: 8", 6, "method.rank", "unknown key of method lora",
         "method has: name, r, alpha"),
        ("  r: 8", "  alhpa: 8", 6, "method.alhpa", "unknown key of method lora",
         "Did you mean alpha?"),
        # learning rates
        ("3e-3", "-1e-3", 8, "training.learning_rate",
         "found -0.001, must be a number above 0 and at most 100 or null", ""),
        ("3e-3", ".inf", 8, "training.learning_rate", "found inf, must be a number above 0", ""),
        ("3e-3", "1e999", 8, "training.learning_rate", "found inf, must be a number above 0", ""),
        ("3e-3", ".nan", 8, "training.learning_rate", "found nan, must be a number above 0", ""),
        ("3e-3", "abc", 8, "training.learning_rate", 'found "abc", must be a number above 0', ""),
        ("3e-3", '"3e-3"', 8, "training.learning_rate", 'found "3e-3", must be a number', ""),
        ("3e-3", "true", 8, "training.learning_rate", "found true, must be a number above 0", ""),
        ("3e-3", "[1, 2]", 8, "training.learning_rate", "found [1, 2], must be a number", ""),
        ("3e-3", "0", 8, "training.learning_rate", "found 0, must be a number above 0", ""),
        # sizes of methods
        ("r: 8", "r: 0", 6, "method.r", "found 0, must be a whole number from 1 to 1024", ""),
        ("r: 8", "r: -4", 6, "method.r", "found -4, must be a whole number from 1 to 1024", ""),
        ("r: 8", "r: 8.5", 6, "method.r", "found 8.5, must be a whole number from 1 to 1024", ""),
        ("r: 8", "r: true", 6, "method.r", "found true, must be a whole number", ""),
        ("r: 8", "r:", 6, "method.r", "found null, must be a whole number", ""),
        ("lora\n  r: 8", "prompt\n  num_virtual_tokens: 0", 6, "method.num_virtual_tokens",
         "found 0, must be a whole number from 1 to 512", ""),
        ("lora\n  r: 8", "prefix\n  num_virtual_tokens: -3", 6, "method.num_virtual_tokens",
         "found -3, must be a whole number from 1 to 512", ""),
        ("r: 8", "dropout: 1.5", 6, "method.dropout",
         "found 1.5, must be a number of at least 0 and below 1", ""),
        ("r: 8", "use_dora: yes", 6, "method.use_dora", 'found "yes", must be true or false', ""),
        ("r: 8", "target_modules: [query, 1]", 6, "method.target_modules",
         'found ["query", 1], must be a list, each a text', ""),
        ("r: 8", "target_modules: query", 6, "method.target_modules",
         'found "query", must be a list, each a text or "all-linear" or null', ""),
        ("r: 8", "init: pisa", 6, "method.init",
         'found "pisa", must be one of default, gaussian, pissa, olora, orthogonal',
         "Did you mean pissa?"),
        # unknown or misplaced methods and tasks
        ("name: lora", "name: lroa", 5, "method.name",
         'found "lroa", which is not a method', "Did you mean lora?"),
        ("name: lora", "name: zzz", 5, "method.name", 'found "zzz", which is not a method',
         "one of: full, head, bitfit, lora, ia3, prefix, p-tuning, prompt, peft"),
        ("name: lora", "name: [a]", 5, "method.name", 'found ["a"], which is not a method',
         "one of: full"),
        ("  name: lora\n", "", 4, "method.name", "missing", "needed: full, head, bitfit, lora,"),
        ("method:\n  name: lora\n  r: 8", "method: lora", 4, "method", 'found "lora"',
         "write `method: {name: lora}`"),
        ("text-classification", "text-clasification", 1, "task.name",
         'found "text-clasification", which is not a task', "Did you mean text-classification?"),
        ("task: {name: text-classification}\n", "", None, "task", "missing", "needed"),
        ("model: {source: google-bert/bert-base-uncased}", "model: {max_length: 9}", 2,
         "model.source", "missing", "needed: Hub id, local folder, or asset:NAME"),
        ("model: {source: google-bert/bert-base-uncased}", "model: bert", 2, "model",
         'found "bert", must be a section of `key: value`', ""),
        ("uncased}", "uncased, trust_remote_code: true}", 2, "model.trust_remote_code",
         "not supported: code that comes with a model or data set is never run", "remove it"),
        ("nyu-mll/glue}", "nyu-mll/glue, trust_remote_code: true}", 3, "data.trust_remote_code",
         "not supported", "remove it"),
        # lists, unions, texts
        ("[0]", "[]", 10, "seeds", "found [], must be a list of at least 1, each a whole", ""),
        ("[0]", "[0, -1]", 10, "seeds[1]", "found -1, must be a whole number of at least 0", ""),
        ("[0]", "[0, 4294967296]", 10, "seeds[1]", "found 4294967296, must be a whole number", ""),
        ("[0]", "3", 10, "seeds", "found 3, must be a list of at least 1", ""),
        ("glue}", "glue, train_size: 0}", 3, "data.train_size",
         "found 0, must be a whole number of at least 1 or a number above 0 and below 1 or null",
         ""),
        ("glue}", "glue, test_size: 1.5}", 3, "data.test_size", "found 1.5, must be a whole", ""),
        ("glue}", "glue, label: [a, 1]}", 3, "data.label", 'found ["a", 1], must be a text', ""),
        ("seeds: [0]", "name: a/../b", 10, "name",
         'found "a/../b", must be a name of letters, digits', ""),
        ("batch_size: 16", "lr_scheduler: linaer", 9, "training.lr_scheduler",
         'found "linaer", must be one of linear, cosine, constant', "Did you mean linear?"),
    ],
)  # fmt: skip
def test_one_thing_wrong(
    tmp_path: Path, old: str, new: str, line: int | None, key: str, what: str, fix: str
) -> None:
    assert old in GOOD
    (problem,) = problems_of(tmp_path, GOOD.replace(old, new, 1))
    assert problem.file == str(tmp_path / "recipe.yaml")
    assert (problem.line, problem.key) == (line, key)
    assert problem.what.startswith(what)
    assert problem.fix.startswith(fix) if fix else problem.fix == ""


def test_everything_wrong_comes_in_one_report(tmp_path: Path) -> None:
    text = GOOD.replace("r: 8", "r: 0").replace("batch_size: 16", "batchsize: 16\n  keep: all")
    text = text.replace("classification}", "classification, metrics: [acuracy]}")
    text = text.replace("[0]", "[1, 1]") + "seeds: [2]\n"
    problems = problems_of(tmp_path, text, "model.max_lenght=3")
    assert [(p.line, p.key) for p in problems] == [
        (12, "seeds"),
        (None, "model.max_lenght"),
        (6, "method.r"),
        (10, "training.keep"),
        (9, "training.batchsize"),
        (1, "task.metrics[0]"),
    ]
    assert "Did you mean accuracy?" in str(RecipeError(problems))


def test_a_report_names_file_line_key_and_fix(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD.replace("learning_rate", "learnig_rate"))
    assert str(problem) == (
        f"{tmp_path / 'recipe.yaml'}:8: training.learnig_rate: unknown key\n"
        "    fix: Did you mean learning_rate?"
    )


def test_a_problem_of_a_base_names_the_base(tmp_path: Path) -> None:
    (tmp_path / "_base.yaml").write_text(GOOD.replace("r: 8", "r: 0"))
    (problem,) = problems_of(tmp_path, "base: _base.yaml\ntraining: {epochs: 1}\n")
    assert (problem.file, problem.line) == (str(tmp_path / "_base.yaml"), 6)


@pytest.mark.parametrize(
    ("override", "key", "what"),
    [
        ("training.learnig_rate=1", "training.learnig_rate", "unknown key"),
        ("method.r=0", "method.r", "found 0, must be a whole number from 1 to 1024"),
        ("method.r=abc", "method.r", 'found "abc", must be a whole number'),
        ("method.num_virtual_tokens=3", "method.num_virtual_tokens",
         "`num_virtual_tokens` belongs to"),
        ("method.r.x=3", "method.r", 'found {"x": 3}, must be a whole number'),
        ("zzz.y=1", "zzz", "unknown key"),
        ("base=_b.yaml", "base", "unknown key"),
        ("method.r", "", "'method.r' is not of the form key.path=value"),
        ("=3", "", "'=3' is not of the form key.path=value"),
        ("method..r=3", "", "'method..r=3' is not of the form key.path=value"),
        ("method.r=[1", "method.r", "not valid YAML"),
        ("method.r=&a 3", "method.r", "anchors and aliases (& and *) are not allowed"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_reported_as_such(
    tmp_path: Path, override: str, key: str, what: str
) -> None:
    (problem,) = problems_of(tmp_path, GOOD, override)
    assert (problem.file, problem.line, problem.key) == ("--set", None, key)
    assert problem.what.startswith(what)


def test_a_file_name_that_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "my recipe.yaml"
    path.write_text(GOOD)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    (problem,) = caught.value.problems
    assert problem.key == "name" and problem.what.startswith('found "my recipe", must be a name')
    path.write_text(GOOD + "name: mine\n")
    assert load_recipe(path).name == "mine"


def test_a_long_value_is_cut_short(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, GOOD.replace("3e-3", "x" * 5000))
    assert len(problem.what) < 200
