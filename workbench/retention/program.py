"""What a model says of the general text, asked in the process of a plain load.

This file imports torch and transformers alone: ``plain_load_worker.py`` runs it by its path, on a
request that also has "passages", "tokens" (the most that are read of each) and "measure", one of

    perplexity               of each token given those before it
    masked-token perplexity  of every eighth token, all of them hidden at once: 12.5%, as in
                             BERT's pretraining. Salazar et al. 2020 hide one token at a time, which
                             takes as many passes as there are tokens
    linear CKA               Kornblith et al. 2019, of the hidden states of each layer with those
                             of the base, from unbiased estimates of HSIC (Song et al. 2012, eq. 5)

or None for the base itself, where the answer says which of them fits it.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

PERPLEXITY, MASKED, CKA = "perplexity", "masked-token perplexity", "linear CKA"
HIDDEN_EVERY = 8
SAMPLED_EVERY = 2
"""Hidden states are compared at every second token, 768 in all."""
BATCH = 8
Load = Callable[[dict[str, Any]], tuple[Any, Any]]


def run(request: dict[str, Any], load: Load) -> dict[str, Any]:
    """The answer to a request; ``load`` gives model and tokenizer of an exported folder."""
    with torch.inference_mode():
        if request["measure"] is None:
            return _of_base(request)
        model, tokenizer = load(request)
        batches = list(_batches(request, tokenizer))
        if request["measure"] == CKA:
            base, _ = _from_base(request, "AutoModel")
            layers = zip(_hidden_states(base, batches), _hidden_states(model, batches), strict=True)
            passages = _owners(batches)
            found = [linear_cka(ours, theirs, passages) for ours, theirs in layers]
            means = [math.fsum(column) / len(found) for column in zip(*found, strict=True)]
            return {"layers": [layer[0] for layer in found], "without_passage": means[1:]}
        answers = _own_logits if "LM" in request["auto_class"] else _through_head_of(request)
        return {"passages": _likelihoods(model, answers, batches, tokenizer, request["measure"])}


def _of_base(request: dict[str, Any]) -> dict[str, Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(request["folder"])
    language, measure = _language_model(request)
    if language is None or (measure == MASKED and tokenizer.mask_token_id is None):
        return {"measure": CKA}
    batches = list(_batches(request, tokenizer))
    found = _likelihoods(language, _own_logits, batches, tokenizer, measure)
    return {"measure": measure, "passages": found}


# --- models -----------------------------------------------------------------------------------


def _from_base(request: dict[str, Any], auto: str) -> tuple[Any, dict[str, Any]]:
    told = {"dtype": torch.float32} | request.get("loading", {})
    if "quantization_config" in told:
        quantised = dict(told["quantization_config"])
        if auto != request["auto_class"]:  # whose modules have other names
            del quantised["llm_int8_skip_modules"]
        told["quantization_config"] = transformers.BitsAndBytesConfig(**quantised)
    model, loading = getattr(transformers, auto).from_pretrained(
        request["base"], revision=request["revision"] or "main", output_loading_info=True, **told
    )
    return model.eval(), loading


def _language_model(request: dict[str, Any]) -> tuple[Any, str]:
    """The base with the head that it was pretrained with, None where its checkpoint has none."""
    config = transformers.AutoConfig.from_pretrained(
        request["base"], revision=request["revision"] or "main"
    )
    masked = type(config) in transformers.MODEL_FOR_MASKED_LM_MAPPING
    measure = MASKED if masked else PERPLEXITY
    if not masked and type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        return None, measure
    auto = "AutoModelForMaskedLM" if masked else "AutoModelForCausalLM"
    language, loading = _from_base(request, auto)
    return (None if loading["missing_keys"] else language), measure


Answers = Callable[[Any, dict[str, Tensor]], Tensor]


def _own_logits(model: Any, inputs: dict[str, Tensor]) -> Tensor:
    logits: Tensor = model(**inputs).logits
    return logits[:, -inputs["input_ids"].shape[1] :]  # behind virtual tokens


class _Given(nn.Module):
    """Hands a head what another model's body has put out."""

    output: Any

    def forward(self, *_: Any, **__: Any) -> Any:
        return self.output

    @property
    def decoder(self) -> nn.Module:
        """Itself: OPT's language model asks a part of its body."""
        return self


def _through_head_of(request: dict[str, Any]) -> Answers:
    """What the base's own language head makes of the body of a model that has another head."""
    language, _ = _language_model(request)
    given = _Given()
    setattr(language, language.base_model_prefix, given)

    def answers(model: Any, inputs: dict[str, Tensor]) -> Tensor:
        given.output = _body_output(model, inputs)
        hidden = given.output.last_hidden_state
        given.output.last_hidden_state = hidden[:, -inputs["input_ids"].shape[1] :]
        logits: Tensor = language(**inputs).logits
        return logits

    return answers


def _body_output(model: Any, inputs: dict[str, Tensor]) -> Any:
    """What comes out of the body of a model, whatever a method has put around and before it."""
    kept: list[Any] = []
    inner = next(m for m in model.modules() if isinstance(m, PreTrainedModel))
    handle = inner.base_model.register_forward_hook(lambda _module, _args, out: kept.append(out))
    try:
        model(**inputs)
    finally:
        handle.remove()
    return kept[-1]


# --- likelihood -------------------------------------------------------------------------------


def _batches(request: dict[str, Any], tokenizer: Any) -> Iterator[tuple[list[int], Any]]:
    """Numbers of passages of the same length in tokens, and their ids and special tokens: nothing
    is padded."""
    encoded = tokenizer(
        request["passages"],
        truncation=True,
        max_length=request["tokens"],
        return_special_tokens_mask=True,
    )
    by_length: dict[int, list[int]] = {}
    for number, ids in enumerate(encoded["input_ids"]):
        by_length.setdefault(len(ids), []).append(number)
    for numbers in by_length.values():
        for start in range(0, len(numbers), BATCH):
            some = numbers[start : start + BATCH]
            names = ("input_ids", "special_tokens_mask")
            yield some, {n: torch.tensor([encoded[n][i] for i in some]) for n in names}


def _inputs(ids: Tensor) -> dict[str, Tensor]:
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _likelihoods(
    model: Any, answers: Answers, batches: list[Any], tokenizer: Any, measure: str
) -> list[list[float]]:
    """For each passage the negative log-likelihood of its tokens in nats, and their number."""
    found: dict[int, list[float]] = {}
    for numbers, encoded in batches:
        ids = encoded["input_ids"]
        if measure == PERPLEXITY:
            logits, right = answers(model, _inputs(ids))[:, :-1], ids[:, 1:]
            scored = torch.ones_like(right)
        else:
            scored, right = _hidden_places(encoded["special_tokens_mask"], numbers), ids
            shown = torch.where(scored.bool(), tokenizer.mask_token_id, ids)
            logits = answers(model, _inputs(shown))
        losses = F.cross_entropy(logits.transpose(1, 2).float(), right, reduction="none")
        sums, counts = (losses * scored).sum(dim=1), scored.sum(dim=1)
        for number, nll, count in zip(numbers, sums.tolist(), counts.tolist(), strict=True):
            found[number] = [nll, count]
    return [found[number] for number in sorted(found)]


def _hidden_places(special: Tensor, numbers: list[int]) -> Tensor:
    """1 at every eighth token of text; passages begin at different ones."""
    order = (1 - special).cumsum(dim=1) - 1
    begin = torch.tensor(numbers).unsqueeze(1) % HIDDEN_EVERY
    return ((order % HIDDEN_EVERY == begin) & (special == 0)).long()


# --- hidden states ----------------------------------------------------------------------------


def _hidden_states(model: Any, batches: list[Any]) -> list[Tensor]:
    """Of each layer, (sampled tokens, hidden); the embeddings are no layer."""
    parts: list[list[Tensor]] = []
    for _, encoded in batches:
        ids = encoded["input_ids"]
        layers = model(**_inputs(ids), output_hidden_states=True).hidden_states[1:]
        places = _sampled(ids.shape[1])
        parts.append([layer[:, places].flatten(0, 1).double() for layer in layers])
    return [torch.cat(layer) for layer in zip(*parts, strict=True)]


def _sampled(length: int) -> slice:
    """From the second of these last positions on: the first is [CLS] or has nothing before it."""
    return slice(1 - length, None, SAMPLED_EVERY)


def _owners(batches: list[Any]) -> Tensor:
    """Which passage each sampled token is of, (tokens, passages)."""
    numbers = [
        number
        for some, encoded in batches
        for number in some
        for _ in range(encoded["input_ids"].shape[1])[_sampled(encoded["input_ids"].shape[1])]
    ]
    return F.one_hot(torch.tensor(numbers)).double()


def linear_cka(ours: Tensor, theirs: Tensor, passages: Tensor) -> list[float]:
    """How alike two representations of the same tokens are, (tokens, hidden) each; 1 where they
    differ by a rotation and a factor at most. After that of all tokens come those without the
    tokens of each passage in turn.

    Args:
        passages: 1 where a token belongs to a passage, (tokens, passages), else 0.
    """
    one, other = (each @ each.T for each in (ours, theirs))
    for gram in (one, other):
        gram.fill_diagonal_(0)
    both, own, others = (
        _hsic(*pair, passages) for pair in ((one, other), (one, one), (other, other))
    )
    cka: list[float] = (both / (own * others).sqrt()).tolist()
    return cka


def _hsic(one: Tensor, other: Tensor, passages: Tensor) -> Tensor:
    """Song et al.'s unbiased estimate from Gram matrices without their diagonals, of all tokens and
    without each passage, but for a factor that cancels in CKA."""
    products = one * other
    kept = 1 - F.pad(passages, (1, 0))  # nothing is left out first
    n = kept.sum(dim=0)
    sums, others = (kept * (gram @ kept) for gram in (one, other))
    trace = (kept * (products @ kept)).sum(dim=0)
    totals = sums.sum(dim=0) * others.sum(dim=0) / ((n - 1) * (n - 2))
    return trace + totals - 2 * (sums * others).sum(dim=0) / (n - 2)
