"""Rules between keys, and between the recipes of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.recipe import Recipe, build, comparability_warnings
from workbench.recipe.peft_types import CACHE_TYPES, PEFT_TYPES


def values(**sections: Any) -> dict[str, Any]:
    recipe: dict[str, Any] = {
        "task": {"name": "text-classification"},
        "model": {"source": "google-bert/bert-base-uncased"},
        "data": {"source": "nyu-mll/glue"},
        "method": {"name": "lora"},
    }
    for section, content in sections.items():
        replaced = not isinstance(content, dict) or "name" in content
        recipe[section] = content if replaced else {**recipe.get(section, {}), **content}
    return recipe


REGRESSION = {"problem_type": "regression"}
MULTI = {"problem_type": "multi_label_classification"}
TAGS = {"name": "token-classification"}
QUESTIONS = {"name": "question-answering"}
CAUSAL = {"name": "causal-lm"}
MASKED = {"name": "masked-lm"}
INSTRUCTION = {"name": "instruction"}
ASKED = {"text": "context", "text_pair": "question", "label": "answers"}


@pytest.mark.parametrize(
    ("sections", "key", "what", "fix"),
    [
        ({"task": {"metrics": ["acuracy"]}}, "task.metrics[0]", 'no metric called "acuracy"',
         "Did you mean accuracy?"),
        ({"task": {"metrics": ["zzz"]}}, "task.metrics[0]", 'no metric called "zzz"',
         "one of: accuracy, f1,"),
        ({"task": {"metrics": ["accuracy", "pearson"]}}, "task.metrics[1]",
         "pearson does not fit problem_type single_label_classification", "one of: accuracy"),
        ({"task": {**REGRESSION, "metrics": ["accuracy"]}}, "task.metrics[0]",
         "accuracy does not fit problem_type regression", "one of: pearson, spearman"),
        ({"task": {"metrics": ["hub:"]}}, "task.metrics[0]", 'found "hub:"', "write hub:NAME"),
        ({"task": {"metrics": ["hub:../x"]}}, "task.metrics[0]", 'found "hub:../x"', "write hub:"),
        ({"task": {"metrics": ["accuracy", "accuracy"]}}, "task.metrics",
         "listed more than once: accuracy", "name each once"),
        ({"task": {"labels": ["a", "b", "a"]}}, "task.labels", "listed more than once: a", ""),
        ({"task": {**REGRESSION, "labels": ["a", "b"]}}, "task.labels",
         "a regression has no labels", ""),
        ({"data": {"label": ["a", "b"]}}, "data.label",
         "several label columns, but problem_type is single_label_classification",
         "name one column, or set task.problem_type: multi_label_classification"),
        ({"task": MULTI, "data": {"label": ["a", "a"]}}, "data.label",
         "listed more than once: a", ""),
        ({"data": {"text": "label"}}, "data.label", 'column "label" is also the text', ""),
        ({"data": {"text_pair": "text"}}, "data.text_pair", "the same column as data.text", ""),
        ({"training": {"micro_batch_size": 32}}, "training.micro_batch_size",
         "32 is more than batch_size (16)", ""),
        ({"data": {"validation_size": None}}, "training.keep",
         '"best" needs a validation split and there is none', "set data.validation_size"),
        ({"data": {"validation_size": None},
          "training": {"keep": "last", "early_stopping_patience": 2}},
         "training.early_stopping_patience", "2 needs a validation split", ""),
        ({"data": {"test_size": None}}, "data.test_size", "no test split", ""),
        ({"method": {"name": "prefix"}, "training": {"gradient_checkpointing": True}},
         "training.gradient_checkpointing", "not with method prefix", "remove it"),
        ({"method": {"name": "peft", "type": "PREFIX_TUNING"},
          "training": {"gradient_checkpointing": True}},
         "training.gradient_checkpointing", "not with method peft", "remove it"),
        ({"method": {"name": "peft", "type": "LOHAA"}}, "method.type",
         'PEFT has no method called "LOHAA"', "Did you mean LOHA?"),
        ({"method": {"name": "peft", "type": "lora"}}, "method.type",
         'PEFT has no method called "lora"', "Did you mean LORA?"),
        ({"method": {"name": "peft", "type": "XLORA"}}, "method.type",
         "XLORA cannot be trained from a recipe: it mixes other adapters", "take another PEFT"),
        ({"method": {"target_modules": []}}, "method.target_modules",
         "an empty list adapts nothing", ""),
        ({"method": {"target_modules": ["query", "query"]}}, "method.target_modules",
         "listed more than once: query", ""),
        ({"method": {"name": "ia3", "target_modules": ["key"], "feedforward": ["dense"]}},
         "method.feedforward", '"dense" is not among method.target_modules', "add it there"),
        ({"method": {"name": "prompt", "init": "random", "init_text": "x"}}, "method.init_text",
         "only used with init: text", "remove it"),
        ({"method": {"name": "prefix", "projection_size": 8}}, "method.projection_size",
         "only used with projection: true", "remove it"),
        ({"model": {"source": "asset:minilm"}}, "model.source",
         'no embedded model called "minilm"', "Did you mean minilm-l6?"),
        ({"model": {"source": "asset:bbc-news"}}, "model.source",
         "asset:bbc-news is a data asset, not a model asset", "one of: minilm-l6"),
        ({"data": {"source": "asset:minilm-l6"}}, "data.source",
         "asset:minilm-l6 is a model asset, not a data asset", ""),
        ({"model": {"source": "a/b/c"}}, "model.source", '"a/b/c" is neither a Hub id', "start a"),
        ({"model": {"source": "a b"}}, "model.source", '"a b" is neither a Hub id', ""),
        ({"model": {"source": "a/-b"}}, "model.source", '"a/-b" is neither a Hub id', ""),
        ({"model": {"source": "a..b"}}, "model.source", '"a..b" is neither a Hub id', ""),
        ({"model": {"source": "x" * 97}}, "model.source", '"xxx', ""),
        ({"model": {"source": "https://huggingface.co/gpt2"}}, "model.source", '"https', ""),
        ({"model": {"source": "/srv/bert", "revision": "main"}}, "model.revision",
         "only a Hub source has a revision", "remove it"),
        ({"data": {"source": "asset:bbc-news", "config": "x"}}, "data.config",
         "only a Hub source has a config", "remove it"),
        ({"data": {"source": "/srv/x.csv", "splits": {"test": "test"}}}, "data.splits",
         '"/srv/x.csv" has no splits of its own', ""),
        ({"data": {"splits": {"validation": "validation", "test": "validation"}}},
         "data.splits.test", '"validation" is already the validation split', ""),
        ({"data": {"splits": {"test": "train"}}}, "data.splits.test",
         '"train" is already the train split', ""),
        ({"data": {"validation_size": 0.5, "test_size": 0.5}}, "data.test_size",
         "validation_size + test_size = 1 leaves nothing to train on", ""),
        ({"data": {"train_draw": "run"}}, "data.train_draw",
         "there is nothing to draw: train_size is null", "set data.train_size, or remove it"),
        ({"data": {"train_size": 0.8, "validation_size": 0.2}}, "data.test_size",
         "train_size + validation_size + test_size = 1.2, more than there is", ""),
        ({"data": {"encoding": "utf-9"}}, "data.encoding", 'no encoding called "utf-9"',
         "Did you mean utf-8?"),
        ({"data": {"encoding_fallback": "a\0b"}}, "data.encoding_fallback", "no encoding", ""),
        ({"seeds": [1, 2, 1]}, "seeds", "listed more than once: 1", "name each once"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_together(
    sections: dict[str, Any], key: str, what: str, fix: str
) -> None:
    _, problems = build(values(**sections))
    (problem,) = problems
    assert problem.key == key
    assert problem.what.startswith(what)
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    ("sections", "key", "what", "fix"),
    [
        ({"task": {**TAGS, "metrics": ["f1_macro"]}}, "task.metrics[0]",
         "f1_macro does not fit token-classification", "one of: accuracy, entity_f1"),
        ({"task": {**QUESTIONS, "metrics": ["acuracy"]}, "data": ASKED}, "task.metrics[0]",
         'no metric called "acuracy"', "one of: answer_f1, exact_match"),
        ({"task": {**CAUSAL, "metrics": ["rouge_l"]}}, "task.metrics[0]",
         "rouge_l does not fit causal-lm", "one of: perplexity, word_perplexity"),
        ({"task": {**CAUSAL, "metrics": ["hub:accuracy"]}}, "task.metrics[0]",
         "causal-lm gives no answers that a Hub metric could compare", "one of: perplexity"),
        ({"task": {**INSTRUCTION, "metrics": ["rouge_l", "perplexity"]}}, "task.metrics[0]",
         "the first metric selects the best adapter, and rouge_l needs generated text",
         "put one of these first: perplexity, word_perplexity"),
        ({"task": {**INSTRUCTION, "metrics": ["hub:meteor"]}}, "task.metrics[0]",
         "the first metric selects the best adapter, and hub:meteor needs generated text", "put"),
        ({"task": {**TAGS, "labels": ["O", "B-X", "O"]}}, "task.labels",
         "listed more than once: O", "name each once"),
        ({"task": QUESTIONS}, "data.text_pair",
         "question-answering needs the column with the questions",
         "name it, e.g. text_pair: question"),
        ({"task": TAGS, "data": {"text_pair": "b"}}, "data.text_pair",
         "token-classification reads no second text", "remove it"),
        ({"task": CAUSAL, "data": {"text_pair": "b"}}, "data.text_pair",
         "causal-lm reads no second text", "remove it"),
        ({"task": TAGS, "data": {"label": ["a", "b"]}}, "data.label",
         "several columns, and token-classification reads one", "name one"),
        ({"task": MASKED, "data": {"label": ["a", "b"]}}, "data.label",
         "several columns, and masked-lm reads one", "name one"),
        ({"task": INSTRUCTION, "data": {"text": "label"}}, "data.label",
         'column "label" is also the text', ""),
        ({"data": {"source": "/srv/x.jsonl", "quoting": "none"}}, "data.quoting",
         'only csv and tsv files are quoted; the source is "/srv/x.jsonl"', "remove it"),
        ({"data": {"source": "/srv/x.jsonl", "separator": "bar"}}, "data.separator",
         'only csv and tsv files have separators; the source is "/srv/x.jsonl"', "remove it"),
        ({"task": CAUSAL, "data": {"normalise_labels": True}}, "data.normalise_labels",
         "the answers here are no labels with names", "remove it"),
        ({"data": {"source": "/srv/x.conll"}}, "data.source",
         '"/srv/x.conll" holds words with tags, for token-classification',
         "use a file with the columns of text-classification"),
        ({"task": TAGS, "data": {"source": "asset:bbc-news"}}, "data.source",
         "asset:bbc-news holds nothing that token-classification could learn", "use data of"),
        ({"task": CAUSAL, "model": {"source": "asset:minilm-l6"}}, "model.source",
         "asset:minilm-l6 is an encoder, and causal-lm needs a decoder",
         "one of: asset:smollm2-135m"),
        ({"task": MASKED, "model": {"source": "asset:smollm2-135m"}}, "model.source",
         "asset:smollm2-135m is a decoder, and masked-lm needs an encoder",
         "one of: asset:minilm-l6"),
        ({"task": CAUSAL, "method": {"name": "head"}}, "method.name",
         "causal-lm brings no new head, so nothing would be trained",
         "the nearest that work: bitfit on models with biases, or lora"),
        ({"task": CAUSAL, "model": {"source": "asset:smollm2-135m"}, "method": {"name": "bitfit"}},
         "method.name", "asset:smollm2-135m has no bias terms and causal-lm brings no new head",
         "the nearest that works: lora"),
        ({"task": {**QUESTIONS, "stride": 128}, "data": ASKED}, "task.stride",
         "128 is not below model.max_length (128)", "make it smaller"),
        ({"task": {**INSTRUCTION, "decoding": {"num_beams": 2, "temperature": 0.7}}},
         "task.decoding.temperature", "0.7 with 2 beams", "set temperature: 0 or num_beams: 1"),
        ({"task": {**INSTRUCTION, "decoding": {"top_p": 0.9}}}, "task.decoding.top_p",
         "only used with a temperature above 0", "remove it"),
        ({"task": {**INSTRUCTION, "decoding": {"length_penalty": 2.0}}},
         "task.decoding.length_penalty", "only used with more than one beam", "remove it"),
    ],
)  # fmt: skip
def test_what_a_task_cannot_do(sections: dict[str, Any], key: str, what: str, fix: str) -> None:
    _, problems = build(values(**sections))
    (problem,) = problems
    assert problem.key == key
    assert problem.what.startswith(what)
    assert problem.fix.startswith(fix)


@pytest.mark.parametrize(
    "sections",
    [
        {"task": {**TAGS, "metrics": ["accuracy", "hub:seqeval"]}, "method": {"name": "head"}},
        {"task": TAGS, "data": {"source": "/srv/x.conll"}},
        {"task": QUESTIONS, "data": {**ASKED, "source": "/srv/x.csv"}},
        {"task": CAUSAL, "data": {"text": "label"}, "model": {"source": "asset:smollm2-135m"}},
        {"task": MASKED, "data": {"source": "asset:bbc-news"}, "method": {"name": "bitfit"}},
        {"task": {**INSTRUCTION, "metrics": ["word_perplexity", "rouge_l", "hub:meteor"]}},
        {"task": {**INSTRUCTION, "metrics": ["rouge_l"]},
         "data": {"validation_size": None}, "training": {"keep": "last"}},
        {"task": {**INSTRUCTION, "decoding": {"temperature": 0.7, "top_p": 0.9}}},
        {"model": {"source": "asset:smollm2-135m"}, "method": {"name": "bitfit"}},
    ],
)  # fmt: skip
def test_what_a_task_can_do(sections: dict[str, Any]) -> None:
    recipe, problems = build(values(**sections))
    assert recipe is not None and not problems


@pytest.mark.parametrize(
    "sections",
    [
        {"task": {"metrics": ["hub:accuracy", "hub:lvwerra/test", "hub:someone/error:lower"]}},
        {"task": {**MULTI, "metrics": ["f1_micro"]}, "data": {"label": ["a", "b"]}},
        {"data": {"validation_size": None}, "training": {"keep": "last"}},
        {"data": {"splits": {"test": "validation"}, "test_size": None}},
        {"data": {"splits": {"test": "test", "validation": "dev"}, "validation_size": None}},
        {"data": {"splits": {"test": "test"}, "test_size": 0.9, "validation_size": 0.5}},
        {"data": {"train_size": 0.7, "validation_size": 0.1, "test_size": 0.2}},
        {"data": {"train_size": 100, "validation_size": 0.5, "test_size": 0.4}},
        {"training": {"micro_batch_size": 16}},
        {"training": {"gradient_checkpointing": True}},
        {"method": {"name": "peft", "type": "LOHA", "config": {"r": 4}}},
        {"model": {"source": "gpt2"}, "data": {"source": "imdb"}},
        {"model": {"source": "org_1/Model.v-2_x", "revision": "0123abc"}},
        {"data": {"encoding": "latin-1", "encoding_fallback": "cp1252"}},
    ],
)
def test_what_is_fine_together(sections: dict[str, Any]) -> None:
    recipe, problems = build(values(**sections))
    assert recipe is not None and not problems


def test_a_rule_is_silent_about_a_key_that_is_broken_anyway() -> None:
    _, problems = build(values(training={"batch_size": 0, "micro_batch_size": 32}))
    assert [p.key for p in problems] == ["training.batch_size"]


def test_the_list_of_peft_types_is_that_of_the_installed_peft() -> None:
    from peft import PeftType

    assert list(PEFT_TYPES) == sorted(member.value for member in PeftType)
    assert CACHE_TYPES <= set(PEFT_TYPES)


def recipe(name: str, **sections: Any) -> Recipe:
    built, problems = build({**values(**sections), "study": "s", "name": name})
    assert built is not None and not problems
    return built


def test_recipes_of_a_study_that_cannot_be_compared() -> None:
    full, lora = recipe("full"), recipe("lora", training={"epochs": 9})
    assert comparability_warnings([full, lora]) == []
    longer = recipe("longer", model={"max_length": 256}, data={"train_size": 9})
    assert comparability_warnings([full, longer]) == [
        "s: longer has model.max_length 256, full has 128: these two cannot be compared",
        "s: longer has data.train_size 9, full has null: these two cannot be compared",
    ]
    two_losses = recipe("two", task={"lm_weight": 0.5}, model={"source": "openai-community/gpt2"})
    one_loss = recipe("one", model={"source": "openai-community/gpt2"})
    assert comparability_warnings([one_loss, two_losses]) == [], "both are tested alike"
    elsewhere = longer.model_copy(update={"study": "t"})
    assert comparability_warnings([full, elsewhere]) == []


def test_checking_recipes_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    build(values(model={"source": "asset:minilm-l6"}, data={"source": "asset:bbc-news"}))
    assert list(tmp_path.iterdir()) == []
