"""A batch is answered as one prompt at a time, by every method, and as transformers would."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import peft
import pytest
import torch
import transformers
from torch import nn

from tests.tiny_decoders import FAMILIES, METHODS, SOFT, VOCABULARY, build
from workbench.errors import MethodError, UsageError
from workbench.inference import generate as module
from workbench.inference.generate import generate
from workbench.recipe.tasks import Decoding

IN_TURN = [
    pytest.param(family, method, marks=[] if (i + k) % 2 else pytest.mark.slow)
    for i, method in enumerate(METHODS)
    for k, family in enumerate(("gpt2", "llama"))
]
"""Every method with one of the two families; with the other in the slow tier."""


def some_prompts(count: int = 7) -> list[list[int]]:
    """Prompts of 1 to 13 tokens, in no order of length."""
    lengths = [5, 13, 1, 8, 5, 11, 2][:count]
    draw = torch.Generator().manual_seed(1)
    return [torch.randint(2, VOCABULARY, (n,), generator=draw).tolist() for n in lengths]


def ask(model: nn.Module, prompts: list[list[int]], batch_size: int, **more: Any) -> Any:
    seed, eos = more.pop("seed", 0), more.pop("eos", [])
    decoding = Decoding(**{"max_new_tokens": 10, **more})
    return generate(model, prompts, decoding, eos_token_ids=eos, batch_size=batch_size, seed=seed)


def plain(model: Any, prompts: list[list[int]], **settings: Any) -> list[list[int]]:
    """What ``generate`` of the (Peft)model gives for each prompt alone and unpadded."""
    answers = []
    for prompt in prompts:
        ids = torch.tensor([prompt])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "Position ids are not supported", by PEFT
            out = model.generate(
                input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=0,
                **{"do_sample": False, "max_new_tokens": 10, **settings},
            )  # fmt: skip
        answers.append(out[0, len(prompt) :].tolist())
    return answers


def until(answers: list[list[int]], ends: list[int]) -> list[list[int]]:
    """The answers before the first end token in each."""
    cut = []
    for answer in answers:
        at = next((i for i, token in enumerate(answer) if token in ends), len(answer))
        cut.append(answer[:at])
    return cut


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_batch_is_answered_like_one_prompt_and_like_transformers(
    family: str, method: str
) -> None:
    model, prompts = build(family, method), some_prompts()
    expected = plain(model, prompts)
    assert len({tuple(answer) for answer in expected}) == len(prompts), "the test says nothing"
    for batch_size in (1, 3, 7):
        assert ask(model, prompts, batch_size) == expected

    # Rows that end at different steps, one of them at the first; several tokens may end a text.
    ends = [expected[2][0], expected[0][4]]
    shorter = until(expected, ends)
    assert shorter[2] == [] and len({len(answer) for answer in shorter}) > 2
    for batch_size in (1, 3, 7):
        assert ask(model, prompts, batch_size, eos=ends) == shorter
    assert until(plain(model, prompts, eos_token_id=ends), ends) == shorter


@pytest.mark.parametrize("method", ["none", "lora", *SOFT])
@pytest.mark.parametrize("family", ["mistral", "gpt-neo", "bloom", "opt"])
def test_other_families(family: str, method: str) -> None:
    """Sliding windows, local attention, positions from the mask alone and shifted positions."""
    model, prompts = build(family, method), some_prompts()
    expected = plain(model, prompts)
    assert len({tuple(answer) for answer in expected}) > 3
    assert ask(model, prompts, 7) == expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_the_answer_is_what_forward_finds_most_probable(family: str, method: str) -> None:
    """Without a cache: what the loss was trained on, token by token."""
    model, prompts = build(family, method), some_prompts()
    for prompt, answer in zip(prompts, ask(model, prompts, 7), strict=True):
        ids = torch.tensor([[*prompt, *answer]])
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        assert logits[0, -len(answer) - 1 : -1].argmax(dim=-1).tolist() == answer


def test_padding_on_the_left_would_give_other_answers() -> None:
    """The trap that the module is for; if this fails, transformers or PEFT has mended it."""
    model, prompts = build("gpt2", "prompt"), some_prompts()
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    settings: dict[str, Any] = {"do_sample": False, "max_new_tokens": 10, "pad_token_id": 0}
    with pytest.warns(UserWarning, match="Position ids are not supported"):
        padded = model.generate(input_ids=ids, attention_mask=mask, **settings)  # type: ignore[operator]
    naive = padded[:, width:].tolist()
    expected = ask(model, prompts, 7)
    wrong = [i for i, (a, b) in enumerate(zip(naive, expected, strict=True)) if a != b]
    assert wrong, "left padding does no harm any more"
    assert len(prompts[1]) == width and 1 not in wrong, "the longest prompt has no padding"


# --- sampling -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "lora", "prefix", "prompt"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_sampling_does_not_depend_on_the_batch(family: str, method: str) -> None:
    model, prompts = build(family, method), some_prompts()
    settings = {"temperature": 2.0, "top_p": 0.9}
    alone = ask(model, prompts, 1, seed=5, **settings)
    torch.manual_seed(99)  # torch's own random state must have no say
    assert ask(model, prompts, 4, seed=5, **settings) == alone
    assert ask(model, prompts, 4, seed=6, **settings) != alone
    assert ask(model, prompts, 4) != alone
    # The stream belongs to the place of a prompt: what else is asked changes nothing.
    assert ask(model, prompts[:3], 4, seed=5, **settings) == alone[:3]
    twins = ask(model, [prompts[0]] * 6, 6, seed=5, **settings)
    assert len({tuple(answer) for answer in twins}) > 1, "equal prompts draw apart"


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (3.0, 1.0), (3.0, 0.6)])
def test_sampling_draws_from_the_models_distribution(temperature: float, top_p: float) -> None:
    model, prompt, draws = build("gpt2", "none"), some_prompts()[0], 4000
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([prompt])).logits[0, -1]
    wanted = (logits / temperature).softmax(dim=-1)
    order = wanted.argsort(descending=True)
    before = wanted[order].cumsum(dim=-1) - wanted[order]  # probability of all that rank higher
    wanted[order[before >= top_p]] = 0
    wanted /= wanted.sum()
    settings = {"temperature": temperature, "top_p": top_p, "max_new_tokens": 1}
    answers = ask(model, [prompt] * draws, draws, **settings)
    counts = Counter(token for [token] in answers)
    found = torch.tensor([counts[token] / draws for token in range(VOCABULARY)])
    assert found[wanted == 0].sum() == 0
    assert (wanted > 0.01).sum() > 2, "the test says nothing"
    # Five standard deviations of a proportion.
    assert ((found - wanted).abs() <= 5 * (wanted * (1 - wanted) / draws).sqrt() + 1e-6).all()


# --- repeats and beams ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "prompt"])
def test_repeats_are_barred_as_transformers_bars_them(method: str) -> None:
    model, prompts = build("gpt2", method), some_prompts()
    expected = plain(model, prompts, no_repeat_ngram_size=2, max_new_tokens=20)
    assert expected != plain(model, prompts, max_new_tokens=20)
    assert ask(model, prompts, 4, no_repeat_ngram_size=2, max_new_tokens=20) == expected


@pytest.mark.parametrize(("family", "method"), IN_TURN)
def test_beams_are_those_of_transformers(family: str, method: str) -> None:
    model, prompts = build(family, method), some_prompts(6)
    ends = [ask(model, prompts, 6)[0][4]]
    settings = {"length_penalty": 0.3, "no_repeat_ngram_size": 3}
    expected = until(plain(model, prompts, num_beams=4, eos_token_id=ends, **settings), ends)
    assert ask(model, prompts, 6, num_beams=4, eos=ends, **settings) == expected
    assert ask(model, prompts, 6, eos=ends, no_repeat_ngram_size=3) != expected


@pytest.mark.parametrize("method", ["none", *SOFT])
def test_enough_beams_find_the_most_probable_text(method: str) -> None:
    """With a beam per token of the vocabulary, two tokens are searched exhaustively."""
    model, prompt = build("llama", method), some_prompts()[0]
    pairs = torch.cartesian_prod(torch.arange(VOCABULARY), torch.arange(VOCABULARY))
    ids = torch.cat([torch.tensor([prompt]).expand(len(pairs), -1), pairs], dim=1)
    with torch.no_grad():
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    chances = logits[:, -3:-1].log_softmax(dim=-1).gather(2, pairs[:, :, None]).sum(dim=(1, 2))
    best = pairs[chances.argmax()].tolist()
    assert ask(model, [prompt], 1, num_beams=VOCABULARY, max_new_tokens=2) == [best]


def test_beams_ignore_what_the_model_came_with() -> None:
    model, prompts = build("gpt2", "lora"), some_prompts(3)
    expected = ask(model, prompts, 3, num_beams=3)
    own = transformers.GenerationConfig(
        repetition_penalty=5.0, eos_token_id=expected[0][1], min_new_tokens=2
    )
    model.generation_config = own
    assert ask(model, prompts, 3, num_beams=3) == expected
    assert model.generation_config is own


# --- surroundings ---------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "method"), IN_TURN)
def test_under_autocast(family: str, method: str) -> None:
    model, prompts = build(family, method), some_prompts()
    with torch.autocast("cpu", torch.bfloat16):
        answers = ask(model, prompts, 7)
        beams = ask(model, prompts[:1], 7, num_beams=2)
    assert [len(answer) for answer in answers] == [10] * 7 and len(beams[0]) == 10
    exact = ask(model, prompts, 7)
    assert sum(a[0] == b[0] for a, b in zip(answers, exact, strict=True)) >= 5


@pytest.mark.parametrize("training", [True, False])
def test_dropout_is_off_and_the_mode_comes_back(training: bool) -> None:
    model, prompts = build("gpt2", "lora"), some_prompts()
    assert model.base_model.model.transformer.drop.p > 0
    expected = ask(model, prompts, 7)
    model.train(training)
    assert ask(model, prompts, 7) == expected
    assert model.training is training
    assert any(p.requires_grad for p in model.parameters())


def test_progress_is_told_per_batch() -> None:
    seen: list[tuple[int, int]] = []
    generate(
        build("gpt2", "none"), some_prompts(), Decoding(max_new_tokens=1), eos_token_ids=[],
        batch_size=3, on_progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert seen == [(3, 7), (6, 7), (7, 7)]


def test_similar_lengths_share_a_batch() -> None:
    prompts = some_prompts()
    padded = list(module._batches(build("gpt2", "lora"), prompts, 4))
    assert [[len(prompts[row]) for row in rows] for rows in padded] == [[13, 11, 8, 5], [5, 2, 1]]
    unpadded = list(module._batches(build("mistral", "lora"), prompts, 4))
    assert sorted(sum(unpadded, [])) == list(range(7))
    assert [0, 4] in unpadded and all(len({len(prompts[r]) for r in b}) == 1 for b in unpadded)


@pytest.mark.parametrize("method", ["none", *SOFT])
def test_only_the_logits_that_are_read_are_computed(method: str) -> None:
    model, prompts = build("llama", method), some_prompts()
    widths: list[int] = []
    head = module.base_of(model).lm_head
    head.register_forward_hook(lambda _module, _inputs, logits: widths.append(logits.shape[1]))
    ask(model, prompts, 7, max_new_tokens=3)
    assert widths == [len(set(map(len, prompts))), 1, 1]


def test_nothing_to_answer() -> None:
    assert ask(build("gpt2", "none"), [], 4) == []


@pytest.mark.parametrize(("method", "room"), [("lora", 48), ("prompt", 45), ("prefix", 45)])
def test_refuses_what_does_not_fit(method: str, room: int) -> None:
    model = build("gpt2", method)
    [answer] = ask(model, [[5] * (room - 10)], 1)
    assert len(answer) == 10
    with pytest.raises(UsageError, match=r"prompt 1 needs 49 positions") as refused:
        ask(model, [[5], [5] * (room - 9)], 1)
    assert "the model has 48 positions" in str(refused.value)
    assert "lower max_new_tokens" in str(refused.value)


def test_refuses_what_it_would_answer_wrongly() -> None:
    invoked = peft.LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj"], alora_invocation_tokens=[5, 6]
    )
    with pytest.raises(MethodError, match="an activated LoRA"):
        ask(peft.get_peft_model(FAMILIES["llama"](), invoked), [[4, 5, 6, 7]], 1)
    recurrent = transformers.MambaConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=1, state_size=4
    )
    with pytest.raises(MethodError, match="mamba cannot generate here"):
        ask(transformers.MambaForCausalLM(recurrent), [[4, 5]], 1)


def test_refuses_an_empty_prompt_and_beams_with_temperature() -> None:
    model = build("gpt2", "none")
    with pytest.raises(UsageError, match="prompt 1 is empty"):
        ask(model, [[5], []], 2)
    with pytest.raises(UsageError, match="2 beams with temperature 0.5"):
        ask(model, [[5]], 1, num_beams=2, temperature=0.5)
