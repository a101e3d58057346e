"""Searches on a tiny model: equal budgets, an unread test split, kills, failures."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.small_recipes import small_recipe
from tests.training.killing import in_child
from workbench import training
from workbench.data import load_data
from workbench.errors import RunRefused, UsageError
from workbench.pipeline import setup
from workbench.pipeline.runner import run_recipe
from workbench.recipe.schema import Recipe
from workbench.store import list_runs, read_run
from workbench.training import trainer
from workbench.tuning import recipe_search
from workbench.tuning import search as tune_search
from workbench.tuning.folder import owned
from workbench.tuning.search import Outcome, tune
from workbench.tuning.space import LEARNING_RATE
from workbench.tuning.trials import Tuning

Make = Callable[..., Recipe]


class Watched:
    """What an observer of a search is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, kind: str, fields: dict[str, Any]) -> None:
        self.told.append((kind, fields))

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [fields for each, fields in self.told if each == kind]


@pytest.fixture
def recipes(make_recipe: Make) -> list[Recipe]:
    """Two methods that take 7 steps each."""
    training = {"epochs": 1, "learning_rate": 1e-2}
    return [make_recipe(method, training=training) for method in ("lora", "bitfit")]


def scores(tunings: list[Tuning]) -> list[list[tuple[Any, ...]]]:
    """Values, score and loss of every trial."""
    return [[(t.values, t.score, t.loss, t.steps) for t in tuning.trials] for tuning in tunings]


def test_every_recipe_gets_the_same_number_of_trials(recipes: list[Recipe], tmp_path: Path) -> None:
    watched = Watched()
    outcome = tune(recipes, 3, runs_dir=tmp_path, observer=watched)
    assert outcome.complete and [len(t.trials) for t in outcome.tunings] == [3, 3]
    names = [fields["recipe"] for fields in watched.of("trial")]
    assert names == ["tiny/lora", "tiny/bitfit"] * 3, "they take turns"
    assert [fields["eta_seconds"] == 0 for fields in watched.of("trial")] == [False] * 5 + [True]
    lora, bitfit = outcome.tunings
    assert lora.trials[0].values == {LEARNING_RATE: 1e-2}, "the recipe's own comes first"
    tried = [[trial.values for trial in tuning.trials] for tuning in outcome.tunings]
    assert tried[0] == tried[1], "the same draws around the same rate"
    assert lora.seed == 1, "0 is reported"
    best = max(lora.trials, key=lambda trial: (trial.score, -(trial.loss or 0)))
    assert lora.best == best

    spec = bitfit.spec()
    assert spec is not None and (spec.trials, spec.failed, spec.metric) == (3, 0, "accuracy")
    assert spec.search == {LEARNING_RATE: "0.001..0.1"}
    logged = [row for path in bitfit.folder.glob("trial-*") for row in read_run(path).events()[0]]
    steps = [row for row in logged if row["kind"] == "step"]
    assert spec.steps == len(steps) == 21
    assert spec.tokens == sum(row["tokens"] for row in steps) > 0
    assert spec.train_seconds == pytest.approx(sum(row["seconds"] for row in steps))
    written = json.loads((bitfit.folder / "tuning.json").read_text())
    assert written == json.loads(json.dumps(bitfit.document() | {"wanted": 3}))
    assert list_runs(tmp_path) == [] == list_runs(tmp_path / "tiny"), "trials are not compared"

    watched.told.clear()
    again = tune(recipes, 3, runs_dir=tmp_path, observer=watched)
    assert again.tunings == outcome.tunings and not watched.told, "nothing is run again"
    fewer = tune(recipes, 2, runs_dir=tmp_path, observer=watched)
    assert [len(t.trials) for t in fewer.tunings] == [2, 2] and not watched.told
    more = tune(recipes[:1], 4, runs_dir=tmp_path, observer=watched)
    assert len(watched.of("trial")) == 1 and scores(more.tunings)[0][:3] == scores([lora])[0]


def test_a_trial_never_sees_the_test_split(
    recipes: list[Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()
    encode, predict = setup.encode, training.trainer.predict

    def noting_encode(examples: Any, *args: Any, **kwargs: Any) -> Any:
        seen.update(examples.ids)
        return encode(examples, *args, **kwargs)

    def noting_predict(model: Any, task: Any, encoded: Any, *args: Any, **kwargs: Any) -> Any:
        seen.update(encoded.examples.ids)
        return predict(model, task, encoded, *args, **kwargs)

    monkeypatch.setattr(setup, "encode", noting_encode)
    monkeypatch.setattr(trainer, "predict", noting_predict)
    referenced: list[str] = []
    score_baselines = setup.score_baselines

    def noting_baselines(*args: Any) -> Any:
        referenced.append(args[0].name)
        return score_baselines(*args)

    monkeypatch.setattr(setup, "score_baselines", noting_baselines)

    data = load_data(recipes[0].data, recipes[0].task)
    test = set(data.test.ids)
    assert len(test) == 24
    (tuning,) = tune(recipes[:1], 1, runs_dir=tmp_path).tunings
    assert seen == {*data.train.ids, *data.validation.ids} and not seen & test
    assert not referenced
    trial = read_run(tuning.folder / "trial-000")
    assert trial.state == "finished"
    assert set(trial.result["metrics"]) == {"validation"} and trial.result["references"] == {}
    left = {path.name for path in trial.path.iterdir()}
    assert not left & {"adapter", "predictions.parquet", "checkpoints"}
    assert trial.result["comparability"]["split"] == data.split_hash

    run = run_recipe(recipes[0], tuning.seed, tmp_path)  # the spy sees what a run reads
    assert test <= seen and referenced == ["lora"]
    losses = [
        [row["loss"] for row in each.events()[0] if row["kind"] in ("step", "validation")]
        for each in (trial, run)
    ]
    assert losses[0] == losses[1], "and it trains exactly as a run does"
    assert trial.result["metrics"]["validation"] == run.result["metrics"]["validation"]
    assert run.result["tuning"] is None


def test_a_killed_search_goes_on_where_it_was(make_recipe: Make, tmp_path: Path) -> None:
    """Killed in the second epoch of the third trial, then between a result and its journal."""
    training = {"epochs": 2, "learning_rate": 1e-2}
    longer = [make_recipe(method, training=training) for method in ("lora", "bitfit")]
    whole = tune(longer, 2, runs_dir=tmp_path / "whole")

    def die_at(kind: str, count: int) -> Callable[[str, dict[str, Any]], None]:
        left = [count]

        def observe(told: str, _fields: dict[str, Any]) -> None:
            left[0] -= told == kind
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        return observe

    runs = tmp_path / "killed"
    killed = in_child(lambda: tune(longer, 2, runs_dir=runs, observer=die_at("progress", 38)))
    assert killed == signal.SIGKILL
    (half,) = [p for p in runs.glob("tiny/tuning/*/trial-*") if read_run(p).state == "interrupted"]
    assert half.name == "trial-001" and half.parent.name.startswith("lora-")

    def without_end() -> Outcome:
        recipe_search.Journal.end = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment,return-value]
        return tune(longer, 2, runs_dir=runs)

    assert in_child(without_end) == signal.SIGKILL
    assert read_run(half).state == "finished"

    watched = Watched()
    resumed = tune(longer, 2, runs_dir=runs, observer=watched)
    assert [fields["recipe"] for fields in watched.of("trial")] == ["tiny/lora", "tiny/bitfit"]
    kinds = [row["kind"] for row in read_run(half).events()[0]]
    assert "resumed" in kinds and kinds.count("step") == 14
    assert scores(resumed.tunings) == scores(whole.tunings)


@pytest.mark.usefixtures("diverging")
def test_a_trial_that_diverges_counts_and_the_search_goes_on(
    recipes: list[Recipe], tmp_path: Path
) -> None:
    search = [f"{LEARNING_RATE}=1e-3,3e-2"]
    (tuning,) = tune(recipes[:1], 2, search, runs_dir=tmp_path).tunings
    assert [len(tuning.trials), tuning.failed] == [2, 1]
    (failed,) = [trial for trial in tuning.trials if trial.score is None]
    assert failed.values == {LEARNING_RATE: 3e-2} and "nan" in failed.reason
    assert tuning.best is not None and tuning.best.values == {LEARNING_RATE: 1e-3}
    spec = tuning.spec()
    assert spec is not None and spec.failed == 1
    assert not (tuning.folder / f"trial-{failed.number:03d}" / "checkpoints").exists()


def test_what_is_wrong_with_the_recipe_ends_the_search(make_recipe: Make, tmp_path: Path) -> None:
    broken = make_recipe({"name": "lora", "target_modules": ["query", "valeu"]})
    watched = Watched()
    with pytest.raises(UsageError, match="trial 1 of tiny/lora could not be run") as caught:
        tune([broken], 3, runs_dir=tmp_path, observer=watched)
    assert "'valeu'; did you mean value?" in str(caught.value)
    assert len(watched.of("run")) == 1


def test_a_metric_that_the_data_does_not_define_ends_the_search(
    tiny_bert: Path, tmp_path: Path
) -> None:
    """Parts of speech have no entities, by which tags are compared unless the recipe says else."""
    rows = [{"text": ["the", f"w{i}"], "label": ["DET", "NOUN"]} for i in range(24)]
    data = tmp_path / "parts.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sections: dict[str, Any] = {
        "data": {"source": str(data), "validation_size": 6},
        "training": {"max_steps": 2, "keep": "best"},
    }
    recipe = small_recipe("token-classification", "lora", tiny_bert, tmp_path, **sections)
    with pytest.raises(UsageError, match="entity_f1 cannot be computed") as caught:
        tune([recipe], 3, runs_dir=tmp_path / "runs")
    assert "set task.metrics: [accuracy]" in str(caught.value)
    named = recipe.model_copy(
        update={"task": recipe.task.model_copy(update={"metrics": ["accuracy"]})}
    )
    (tuning,) = tune([named], 1, runs_dir=tmp_path / "named").tunings
    assert tuning.best is not None and tuning.best.score is not None


def test_values_that_do_not_go_together_are_a_failed_trial(
    recipes: list[Recipe], tmp_path: Path
) -> None:
    search = [
        f"{LEARNING_RATE}=1e-2,2e-2",
        "training.batch_size=4,8",
        "training.micro_batch_size=4,8",
    ]
    (tuning,) = tune(recipes[:1], 8, search, runs_dir=tmp_path).tunings
    failed = [trial for trial in tuning.trials if trial.score is None]
    assert len(failed) == 2 and all("more than batch_size" in t.reason for t in failed)


def test_of_two_starts_one_wins(recipes: list[Recipe], tmp_path: Path) -> None:
    (tuning,) = tune(recipes[:1], 1, runs_dir=tmp_path).tunings
    with owned(tuning.folder), pytest.raises(RunRefused, match="another process is tuning this"):
        tune(recipes, 1, runs_dir=tmp_path)
    assert tune(recipes, 1, runs_dir=tmp_path).complete


def test_a_request_to_stop_saves_and_ends(recipes: list[Recipe], tmp_path: Path) -> None:
    def ask(kind: str, fields: dict[str, Any]) -> None:
        if kind == "progress" and fields["step"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = tune(recipes, 2, runs_dir=tmp_path, observer=ask)
    assert not stopped.complete and stopped.signal_number == signal.SIGINT
    assert [len(tuning.trials) for tuning in stopped.tunings] == [0, 0]
    watched = Watched()
    assert tune(recipes, 2, runs_dir=tmp_path, observer=watched).complete
    assert len(watched.of("resumed")) == 1


def test_changed_data_and_force_start_over_and_keep_the_old(
    make_recipe: Make, topics_file: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_bytes(topics_file.read_bytes())
    recipe = make_recipe("head", data={"source": str(file)}, training={"max_steps": 2})
    runs = tmp_path / "runs"
    for number in (1, 2, 3):
        watched = Watched()
        (tuning,) = tune([recipe], 1, runs_dir=runs, force=number == 2, observer=watched).tunings
        assert len(watched.of("trial")) == 1
        assert len(list((tuning.folder.parent / ".replaced").glob("*"))) == number - 1
        with open(file, "a") as more:
            row = {"text": f"a wholly new text {number}", "label": "sport"}
            more.write(json.dumps(row) + "\n" if number == 2 else "")
    assert "the data has changed" in watched.of("warning")[0]["message"]


def test_a_seed_that_is_reported_is_refused(make_recipe: Make, tmp_path: Path) -> None:
    recipe = make_recipe("head", seeds=[0, 1, 3])
    with pytest.raises(UsageError, match="--seed 3 is one of the seeds"):
        tune([recipe], 1, seed=3, runs_dir=tmp_path)
    with pytest.raises(UsageError, match="3 trials of 2 combinations"):
        tune([recipe], 3, [f"{LEARNING_RATE}=1e-3,1e-2"], runs_dir=tmp_path)
    assert tune_search._seed([recipe, make_recipe("lora")], None) == 2
