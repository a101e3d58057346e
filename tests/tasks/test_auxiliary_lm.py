"""Language modelling beside a classification: the loss by hand, its log, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import transformers
from peft import PeftModel
from tiny_adapted import adapt, whole_batch
from torch import Tensor

from tests.small_recipes import METHODS, small_recipe
from workbench.data.encode import Encoded, encode
from workbench.data.examples import Examples
from workbench.distributed.policy import choose_policy
from workbench.errors import UsageError
from workbench.models import load_base, load_config, load_tokenizer
from workbench.recipe import build
from workbench.recipe.schema import ModelSpec, TrainingSpec
from workbench.recipe.tasks import TextClassification
from workbench.store import Run
from workbench.tasks import AnyTask, make_task
from workbench.training.events import Step

Train = Callable[..., Run]
TEXTS = ("goal match team", "the bank of the firm is a bank", "star", "a film and a song in the")
LABELS = (0, 1, 1, 0)
WEIGHT = 0.5


def task_of(weight: float = WEIGHT, **fields: Any) -> AnyTask:
    spec = TextClassification(name="text-classification", lm_weight=weight, **fields)
    return make_task(spec, ("sport", "other"))


def encoded_by(task: AnyTask, folder: Path) -> Encoded:
    tokenizer = load_tokenizer(ModelSpec(source=str(folder)))
    ids = tuple(str(i) for i in range(len(TEXTS)))
    encoder = task.encoder(tokenizer, 32)
    return encode(
        Examples(ids=ids, texts=TEXTS, pairs=None, labels=LABELS), encoder, tokenizer, cached=False
    )


def by_hand(model: Any, ids: list[int]) -> Tensor:
    """Mean next-token loss of one unpadded text, from hidden states and word embedding."""
    inner = model.base_model if isinstance(model, PeftModel) else model
    virtual = model.get_prompt(1) if "prompt_encoder" in dict(model.named_children()) else None
    plain = inner.model if hasattr(inner, "model") and not hasattr(inner, "transformer") else inner
    words = plain.transformer.wte(torch.tensor([ids]))
    inputs = words if virtual is None else torch.cat([virtual, words], dim=1)
    hidden = plain.transformer(inputs_embeds=inputs).last_hidden_state[0, -len(ids) :]
    logits = hidden @ plain.transformer.wte.weight.T
    return F.cross_entropy(logits[:-1], torch.tensor(ids[1:]))


@pytest.mark.parametrize("method", ["full", "lora", "prompt"])
def test_the_loss_is_that_of_the_texts_one_by_one(method: str, tiny_gpt2: Path) -> None:
    task = task_of()
    adapted, encoded = adapt(task, tiny_gpt2, method), encoded_by(task, tiny_gpt2)
    batch = whole_batch(adapted, task, encoded)
    lengths = [len(row["input_ids"]) for row in batch.rows]
    assert len(set(lengths)) > 2, "nothing would be padded"
    losses = task.training_losses(adapted.model, batch, adapted.virtual_tokens)
    expected = torch.stack([by_hand(adapted.model, list(r["input_ids"])) for r in batch.rows])
    assert torch.allclose(losses.parts["language_modelling"], expected, atol=1e-5)
    plain = task_of(0.0).training_losses(adapted.model, batch, adapted.virtual_tokens)
    assert plain.parts == {} and torch.equal(plain.total, losses.parts["classification"])
    assert torch.allclose(losses.total, plain.total + WEIGHT * expected, atol=1e-5)


def test_it_is_what_the_language_model_itself_says(tiny_gpt2: Path) -> None:
    """transformers' own head and loss on the same weights, with a prefix as without."""
    task = task_of()
    policy = choose_policy(TrainingSpec(precision="fp32"), torch.device("cpu"))
    base = load_base(ModelSpec(source=str(tiny_gpt2), max_length=32), task, policy)
    model = transformers.GPT2LMHeadModel.from_pretrained(tiny_gpt2).eval()
    encoded = encoded_by(task, tiny_gpt2)
    prefixed = adapt(task, tiny_gpt2, "prefix")
    batch = whole_batch(prefixed, task, encoded)
    found = task.training_losses(base.model.eval(), batch, 0).parts["language_modelling"]
    for value, row in zip(found, batch.rows, strict=True):
        ids = torch.tensor([row["input_ids"]])
        assert torch.allclose(value, model(ids, labels=ids).loss, atol=1e-5)
    found = task.training_losses(prefixed.model, batch, 0).parts["language_modelling"]
    cache = prefixed.model.get_prompt(len(batch.rows))  # type: ignore[operator]
    logits = model(batch.inputs["input_ids"], past_key_values=cache).logits
    for i, row in enumerate(batch.rows):
        ids = torch.tensor(row["input_ids"])
        by_head = F.cross_entropy(logits[i, : len(ids) - 1], ids[1:])
        assert torch.allclose(found[i], by_head, atol=1e-5)


def test_vocabulary_logits_stand_only_where_a_token_comes_next(
    tiny_gpt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of()
    adapted, encoded = adapt(task, tiny_gpt2, "prompt"), encoded_by(task, tiny_gpt2)
    batch = whole_batch(adapted, task, encoded)
    rows: list[int] = []

    def watch(hidden: Tensor, *rest: Any) -> Tensor:
        if rest and rest[0].shape[0] == adapted.base.config.vocab_size:
            rows.append(hidden.shape[0])
        return linear(hidden, *rest)

    linear = F.linear
    monkeypatch.setattr(F, "linear", watch)
    task.training_losses(adapted.model, batch, adapted.virtual_tokens)
    assert rows == [sum(len(row["input_ids"]) - 1 for row in batch.rows)]
    task_of(0.0).training_losses(adapted.model, batch, adapted.virtual_tokens)
    assert len(rows) == 1, "computed for nothing"


def test_a_text_of_one_token_has_no_next_one(tiny_gpt2: Path) -> None:
    task = task_of()
    adapted = adapt(task, tiny_gpt2, "lora")
    batch = whole_batch(adapted, task, encoded_by(task, tiny_gpt2))
    inputs = {name: tensor[:1, :1] for name, tensor in batch.inputs.items()}
    row = {"input_ids": batch.rows[0]["input_ids"][:1], "label": 0}
    losses = task.training_losses(adapted.model, type(batch)(inputs, (row,)), 0)
    assert losses.parts["language_modelling"].tolist() == [0.0]
    losses.total.sum().backward()


# --- in a run -------------------------------------------------------------------------------

TRAINED: dict[str, dict[str, Any]] = {
    **{name: METHODS[name] for name in ("full", "lora", "prefix", "prompt", "p-tuning")},
    "ia3": {"name": "ia3"},
}


def run_of(
    method: str, model: Path, folder: Path, train: Train, weight: float, **training: Any
) -> Run:
    sections = {"task": {"lm_weight": weight}, "training": training}
    recipe = small_recipe("text-classification", TRAINED[method], model, folder, **sections)
    run = train(recipe, 0, folder / "runs")
    assert run.state == "finished", run.reason
    return run


def steps_of(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.events()[0] if event["kind"] == "step"]


@pytest.mark.parametrize(
    ("method", "precision"),
    [("full", "bf16"), ("lora", "bf16"), ("ia3", "fp32"), ("prefix", "fp32"), ("prompt", "bf16"),
     ("p-tuning", "fp32")],
)  # fmt: skip
def test_both_losses_are_logged_beside_their_weighted_sum(
    method: str, precision: str, tiny_gpt2: Path, train: Train, tmp_path: Path
) -> None:
    run = run_of(
        method, tiny_gpt2, tmp_path, train, WEIGHT, precision=precision, micro_batch_size=3
    )
    steps = steps_of(run)
    assert len(steps) == 4
    for step in steps:
        assert step["losses"].keys() == {"classification", "language_modelling"}
        total = step["losses"]["classification"] + WEIGHT * step["losses"]["language_modelling"]
        assert step["loss"] == pytest.approx(total, abs=1e-5)
    assert run.result["export"]["checked"]


def test_next_tokens_are_learned(tiny_gpt2: Path, train: Train, tmp_path: Path) -> None:
    run = run_of("full", tiny_gpt2, tmp_path, train, 2.0, max_steps=12)
    first, *_, last = (step["losses"]["language_modelling"] for step in steps_of(run))
    assert last < first - 0.2


def test_without_a_weight_nothing_changes(tiny_gpt2: Path, train: Train, tmp_path: Path) -> None:
    """The code of the second loss is taken away: a run that touched it would fail."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr("workbench.tasks.text_classification.next_token_logits")
        run = run_of("lora", tiny_gpt2, tmp_path, train, 0.0)
    assert [step["losses"] for step in steps_of(run)] == [{}] * 4
    left_out = small_recipe("text-classification", "lora", tiny_gpt2, tmp_path)
    assert run.path.name.endswith(left_out.fingerprint[:8]), "0 is what leaving it out means"


def test_runs_with_and_without_it_can_be_compared(
    tiny_gpt2: Path, train: Train, tmp_path: Path
) -> None:
    runs = [run_of("lora", tiny_gpt2, tmp_path, train, weight) for weight in (0.0, WEIGHT)]
    with_, without = (run.result["comparability"] for run in runs)
    assert with_ == without


def test_steps_of_earlier_versions_are_read() -> None:
    row = {"step": 1, "epoch": 0.5, "loss": 0.25, "learning_rate": 1e-3, "grad_norm": 1.0,
           "seconds": 0.1, "tokens": 8, "examples": 2, "kind": "step", "time": 0.0}  # fmt: skip
    assert Step.from_row(row).losses == {}
    assert Step.from_row({**row, "losses": {"a": 1.0}}).losses == {"a": 1.0}


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("tiny_bert", "is an encoder, which sees the next token"),
        ("tiny_llama", "is not tied to its word embedding"),
    ],
)
def test_a_base_without_next_tokens_is_refused(
    family: str, told: str, request: pytest.FixtureRequest
) -> None:
    spec = ModelSpec(source=str(request.getfixturevalue(family)))
    assert load_config(spec, task_of(0.0)) is not None
    with pytest.raises(UsageError) as caught:
        load_config(spec, task_of())
    assert caught.value.where == "task.lm_weight" and told in str(caught.value)
    assert "set it to 0" in str(caught.value)


def test_logits_that_are_rescaled_are_refused(tmp_path: Path) -> None:
    transformers.Gemma2Config().save_pretrained(tmp_path)
    with pytest.raises(UsageError, match="rescales its logits .final_logit_softcapping."):
        load_config(ModelSpec(source=str(tmp_path)), task_of())


def test_a_head_that_reads_one_position_is_refused(tiny_bert: Path) -> None:
    task = task_of(0.0)
    adapted = adapt(task, tiny_bert, "full")
    batch = whole_batch(adapted, task, encoded_by(task, tiny_bert))
    with pytest.raises(UsageError, match="does not read every position"):
        task_of().training_losses(adapted.model, batch, 0)


@pytest.mark.parametrize(
    ("model", "method", "told", "fix"),
    [
        ("asset:minilm-l6", "lora", "asset:minilm-l6 is an encoder", "asset:smollm2-135m"),
        ("asset:smollm2-135m", "head", "method head trains nothing that", "the nearest"),
    ],
)
def test_what_a_recipe_already_tells_is_refused_by_its_rules(
    model: str, method: str, told: str, fix: str
) -> None:
    recipe: dict[str, Any] = {
        "task": {"name": "text-classification", "lm_weight": WEIGHT},
        "model": {"source": model},
        "data": {"source": "asset:bbc-news"},
        "method": {"name": method},
    }
    _, (problem,) = build(recipe)
    assert problem.key == "task.lm_weight"
    assert problem.what.startswith(told) and fix in problem.fix
    recipe["task"]["lm_weight"] = 0.0
    assert build(recipe)[1] == []
