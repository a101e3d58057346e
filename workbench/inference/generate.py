"""Text from a fine-tuned decoder: batched, and yet the same as one prompt at a time.

``generate`` of transformers (5.23) pads on the left. PEFT (0.21) then puts soft prompts in front of
the padding and drops the positions, so the answer to a prompt depends on its neighbours. Here the
prompts are padded on the right, where a causal model does not see the padding, and what follows
is decoded behind it, with the padding masked and each row's positions counted on.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import signature
from itertools import groupby
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import (
    DynamicCache,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)
from transformers.cache_utils import DynamicLayer

from workbench.distributed.tensors import evaluating, largest, whole_outside_layers
from workbench.errors import MethodError, UsageError
from workbench.inference.batch_size import EvaluationBatch
from workbench.inference.beams import base_of, beam_search
from workbench.recipe.tasks import Decoding

PADDING = 0
"""Any id will do: it is masked. So a tokenizer without a padding token is no trouble."""


def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    *,
    eos_token_ids: Sequence[int],
    batch_size: int | EvaluationBatch,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
    on_token: Callable[[int, int, float], None] | None = None,
) -> list[list[int]]:
    """What the model writes after each prompt: its new token ids, without the end token.

    The answers depend on neither the batch size nor the other prompts, up to rounding: in 16 bits
    two tokens of nearly the same score may change places. Prompt ``i`` draws from a random stream
    of its own, given by ``(seed, i)``. Beam search goes one prompt at a time through transformers.

    Args:
        model: a causal language model of transformers, bare or as a ``PeftModel``.
        prompts: token ids of each prompt, with the special tokens that belong in front.
        batch_size: prompts at once; a number, or what free memory decides.
        seed: of the sampling; without a temperature it changes nothing.
        on_progress: called with the prompts done and their number.
        on_token: called with each new token: its prompt, its id, and its probability before any
            temperature. With beams, which choose at the end, it is not called. What it raises
            ends the generation.

    Raises:
        UsageError: for an empty prompt, one that leaves no room for the answer among the model's
            positions, or sampling with beams.
        MethodError: when the model keeps no keys and values to continue from; for activated LoRA.
    """
    _check(model, prompts, decoding)
    answers: dict[int, list[int]] = {}
    at_once = EvaluationBatch.of(batch_size)
    write = partial(_write, model, prompts, decoding, eos_token_ids, seed, on_token)
    with evaluating(model), whole_outside_layers(model):
        batches = list(_batches(model, prompts, _at_once(model, prompts, decoding, at_once)))
        for number in range(largest(model, len(batches))):
            if number < len(batches):
                rows = batches[number]
                answers |= zip(rows, at_once.each(model, rows, write), strict=True)
            else:  # FSDP: a rank that is done still runs the forward pass (all-gather)
                write([])
            if on_progress:
                on_progress(len(answers), len(prompts))
    at_once.give_back(model)
    return [answers[row] for row in range(len(prompts))]


def _write(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    eos_token_ids: Sequence[int],
    seed: int,
    on_token: Callable[[int, int, float], None] | None,
    rows: Sequence[int],
) -> list[list[int]]:
    """The answers to the prompts of one batch, given by their numbers; to any one where it has
    none."""
    texts = [prompts[row] for row in rows] or [[PADDING]]
    if decoding.num_beams > 1:
        return [beam_search(model, texts[0], decoding, eos_token_ids)]
    streams = [np.random.default_rng((seed, row)) for row in rows or [len(prompts)]]
    tell = partial(_tell, on_token, rows) if on_token and rows else None
    return _decode(model, texts, decoding, set(eos_token_ids), streams, tell)


def _at_once(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    batch: EvaluationBatch,
) -> int:
    """Prompts of a batch with the longest of them and its answer."""
    if decoding.num_beams > 1:
        return 1
    tokens = max(map(len, prompts), default=0) + _virtual_tokens(model) + decoding.max_new_tokens
    return batch.examples(tokens, next(model.parameters()).device)


def _virtual_tokens(model: nn.Module) -> int:
    """How much prompt tuning, P-tuning or prefix tuning puts before the first token."""
    adapter: Any = model.active_peft_config if isinstance(model, PeftModel) else None
    return adapter.num_virtual_tokens if adapter and adapter.is_prompt_learning else 0


def _check(model: nn.Module, prompts: Sequence[Sequence[int]], decoding: Decoding) -> None:
    """Refuses what would fail, or end in nonsense, in the middle of the work."""
    if decoding.num_beams > 1 and decoding.temperature > 0:
        raise UsageError(
            f"{decoding.num_beams} beams with temperature {decoding.temperature}",
            where="task.decoding",
            why="beams look for the most probable text, a temperature draws one at random",
            fix="set temperature: 0 or num_beams: 1",
        )
    if getattr(getattr(model, "active_peft_config", None), "alora_invocation_tokens", None):
        raise MethodError(
            "an activated LoRA cannot generate here",
            where="method.config.alora_invocation_tokens",
            why="PEFT looks for the invocation tokens in each call, and here they are in the first",
            fix="use a LoRA without them",
        )
    virtual = _virtual_tokens(model)
    room = getattr(base_of(model).config.get_text_config(), "max_position_embeddings", None)
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise UsageError(
                f"prompt {index} is empty",
                why="a decoder continues a text; it needs one token to start from",
                fix="start it with the tokenizer's beginning-of-text token",
            )
        needed = virtual + len(prompt) + decoding.max_new_tokens
        if room is not None and needed > room:
            raise UsageError(
                f"prompt {index} needs {needed} positions: {len(prompt)} for its tokens, {virtual} "
                f"for virtual tokens and {decoding.max_new_tokens} for the answer",
                where="task.decoding.max_new_tokens",
                why=f"the model has {room} positions",
                fix="lower max_new_tokens, or truncate the prompts with model.max_length",
            )


def _batches(
    model: nn.Module, prompts: Sequence[Sequence[int]], batch_size: int
) -> Iterator[list[int]]:
    """Numbers of prompts of similar length, the longest first, so that memory fails early."""
    order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    groups = [order]
    if not _ignores_gaps(base_of(model).config):
        groups = [list(rows) for _, rows in groupby(order, key=lambda row: len(prompts[row]))]
    for rows in groups:
        yield from (rows[start : start + batch_size] for start in range(0, len(rows), batch_size))


def _ignores_gaps(config: Any) -> bool:
    """True if every layer attends to all that came before, wherever it lies in the cache.

    A sliding window would count the padding, a recurrent state would swallow it.
    """
    kinds = {type(layer) for layer in DynamicCache(config=config).layers}
    return kinds <= {DynamicLayer} and "local" not in getattr(config, "attention_layers", ())


# --- one token after the other --------------------------------------------------------------


def _decode(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    decoding: Decoding,
    eos: set[int],
    streams: Sequence[np.random.Generator],
    tell: Callable[[int, int, Tensor], None] | None = None,
) -> list[list[int]]:
    """Greedy decoding or sampling of one batch; ``tell`` gets each row, token and its logits."""
    logits, cache, mask, positions = _prefill(model, prompts)
    # The cache holds the soft prompt already, and PEFT would put it there once more.
    continued = base_of(model) if _virtual_tokens(model) else model
    places = "position_ids" in signature(base_of(model).forward).parameters
    answers: list[list[int]] = [[] for _ in prompts]
    unfinished = set(range(len(prompts)))
    for step in range(decoding.max_new_tokens):
        if decoding.no_repeat_ngram_size:
            logits = _without_repeats(logits, prompts, answers, decoding.no_repeat_ngram_size)
        chosen = _choose(logits.float(), decoding, streams)
        for row, token in enumerate(chosen.tolist()):
            if token in eos:
                unfinished.discard(row)
            elif row in unfinished:
                answers[row].append(token)
                if tell:
                    tell(row, token, logits[row])
        if step + 1 == decoding.max_new_tokens or not largest(model, len(unfinished)):
            break
        mask = torch.cat([mask, mask.new_ones(len(prompts), 1)], dim=1)
        logits = continued(
            input_ids=chosen[:, None],
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **({"position_ids": (positions + step)[:, None]} if places else {}),
        ).logits[:, -1]
    return answers


def _prefill(
    model: nn.Module, prompts: Sequence[Sequence[int]]
) -> tuple[Tensor, DynamicCache, Tensor, Tensor]:
    """Reads the prompts.

    Returns:
        The logits after the last token of each (batch, vocabulary); the keys and values; which
        of them are no padding (batch, virtual + seq); the position of the next token (batch).
    """
    device = next(model.parameters()).device
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
    width = max(len(prompt) for prompt in prompts)
    padded = [[*prompt, *[PADDING] * (width - len(prompt))] for prompt in prompts]
    mask = (torch.arange(width, device=device) < lengths[:, None]).long()
    # Counted from the end, so that virtual tokens in front of the logits make no difference.
    ends, of_row = torch.unique(lengths - 1 - width, return_inverse=True)
    # All logits would be the largest tensor by far: 4 GB for 16 x 512 tokens of Llama 3.
    selects = "logits_to_keep" in signature(base_of(model).forward).parameters
    output = model(
        input_ids=torch.tensor(padded, device=device),
        attention_mask=mask,
        use_cache=True,
        **({"logits_to_keep": ends} if selects else {}),
    )
    cache = getattr(output, "past_key_values", None)
    if cache is None:
        raise MethodError(
            f"{base_of(model).config.model_type} cannot generate here",
            why="it keeps no keys and values that an answer could be continued from",
            fix="use a GPT-style model, such as GPT-2 or Llama",
        )
    virtual = cache.get_seq_length() - width
    row = torch.arange(len(prompts), device=device)
    logits = output.logits[row, of_row if selects else ends[of_row]]
    mask = torch.cat([mask.new_ones(len(prompts), virtual), mask], dim=1)
    return logits, cache, mask, virtual + lengths


def _without_repeats(
    logits: Tensor, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], size: int
) -> Tensor:
    """Bars every token that would complete a run of ``size`` tokens for the second time."""
    bar = NoRepeatNGramLogitsProcessor(size)
    texts = [[*prompt, *answer] for prompt, answer in zip(prompts, answers, strict=True)]
    rows = [torch.tensor([text], device=logits.device) for text in texts]
    return torch.cat([bar(text, logits[row, None]) for row, text in enumerate(rows)])


def _choose(logits: Tensor, decoding: Decoding, streams: Sequence[np.random.Generator]) -> Tensor:
    """The next token of each row, (batch,), from logits (batch, vocabulary)."""
    if decoding.temperature == 0:
        return logits.argmax(dim=-1)
    ids = torch.empty(0)  # what the next two take and do not look at
    logits = TemperatureLogitsWarper(float(decoding.temperature))(ids, logits)
    if decoding.top_p < 1:
        logits = TopPLogitsWarper(decoding.top_p)(ids, logits)
    # By inversion, in float64 on the CPU: the same draw is the same token on any device.
    cumulative = logits.softmax(dim=-1).cpu().double().cumsum(dim=-1)
    uniform = torch.tensor([[stream.random()] for stream in streams], dtype=torch.float64)
    chosen = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    return chosen[:, 0].clamp(max=logits.shape[-1] - 1).to(logits.device)


def _tell(
    on_token: Callable[[int, int, float], None],
    rows: Sequence[int],
    row: int,
    token: int,
    logits: Tensor,
) -> None:
    on_token(rows[row], token, float(logits.float().softmax(dim=-1)[token]))
