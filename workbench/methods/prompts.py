"""Soft prompts: prefix tuning, P-tuning and prompt tuning.

PEFT's random start (peft 0.21) has standard deviation 1, 18 times that of MiniLM's trained word
embeddings (0.056), and an encoder's head reads the first *virtual* token. Both are put right by
the start values, not by patching the model, so that the exported folder means the same to a
plain ``PeftModel.from_pretrained``: prompts start from the embeddings of a text whose first
token is ``[CLS]``, prefixes from the keys and values that the base computes for it.
"""

import inspect
from typing import Any

import torch
from peft import PrefixTuningConfig, PromptEncoderConfig, PromptTuningConfig
from torch import Tensor, nn
from transformers import DynamicCache

from workbench.errors import MethodError
from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.methods.wrapping import wrap
from workbench.models import Base
from workbench.recipe.methods import Prefix, Prompt, PTuning


def _encoder(adapted: AdaptedModel) -> Any:
    """PEFT's prompt encoder; what it consists of depends on the method."""
    model: Any = adapted.model
    return model.prompt_encoder["default"]


def _token_ids(adapted: AdaptedModel, spec: Any, context: MethodContext) -> Tensor:
    """Ids that virtual tokens start from: a text with its special tokens, repeated.

    The tokenizer's special tokens are kept because an encoder's classification head reads the
    first position: with a soft prompt that is virtual token 0, so it has to start as ``[CLS]``.
    (peft 0.21 pools it without saying so.)
    """
    tokenizer, count = adapted.base.tokenizer, spec.num_virtual_tokens
    ids = list(tokenizer(spec.init_text or context.prompt_text, truncation=False)["input_ids"])
    special = tokenizer.cls_token_id
    first, rest = ([ids[0]], ids[1:]) if special is not None and ids[0] == special else ([], ids)
    rest = rest or ids
    repeated = [*first, *rest * (count // len(rest) + 1)][:count]
    return torch.tensor(repeated, device=next(adapted.model.parameters()).device)


def _embeddings(adapted: AdaptedModel, ids: Tensor) -> Tensor:
    """Rows of the word embedding, (tokens, hidden)."""
    table = adapted.base.model.get_input_embeddings()
    rows: Tensor = table(ids)
    return rows.detach().clone()


def _least_squares(inputs: Tensor, outputs: Tensor) -> Tensor:
    """The smallest X (hidden, out) with inputs (tokens, hidden) @ X = outputs (tokens, out).

    By the pseudo-inverse: ``torch.linalg.lstsq`` (2.13, CPU) answers 0 when there are fewer
    tokens than hidden units.
    """
    inverse: Tensor = torch.linalg.pinv(inputs.double())
    return inverse @ outputs.double()


def prompt_shape(base: Base) -> dict[str, int]:
    """What PEFT (0.21) cannot read off every config: DistilBERT's words for it are its own.

    Virtual tokens are as wide as the word embedding, which in ALBERT, ELECTRA small, MobileBERT
    and OPT-350m is narrower than the hidden state.
    """
    config, embedding = base.config, base.model.get_input_embeddings()
    return {
        "token_dim": embedding.weight.shape[1],
        "num_layers": config.num_hidden_layers,
        # Only a prefix is shaped by them; Mamba has none.
        "num_attention_heads": getattr(config, "num_attention_heads", 1),
    }


# --- prompt tuning --------------------------------------------------------------------------


def _apply_prompt(base: Base, spec: Prompt, context: MethodContext) -> AdaptedModel:
    config = PromptTuningConfig(num_virtual_tokens=spec.num_virtual_tokens, **prompt_shape(base))
    return AdaptedModel(
        model=wrap(base, config, context), base=base, virtual_tokens=spec.num_virtual_tokens
    )


def _initialise_prompt(adapted: AdaptedModel, spec: Prompt, context: MethodContext) -> None:
    if spec.init == "random":
        return
    if spec.init == "vocabulary":
        ids = torch.randint(0, adapted.base.config.vocab_size, (spec.num_virtual_tokens,))
    else:
        ids = _token_ids(adapted, spec, context)
    with torch.no_grad():
        _encoder(adapted).embedding.weight.copy_(_embeddings(adapted, ids))


# --- P-tuning -------------------------------------------------------------------------------


def _apply_p_tuning(base: Base, spec: PTuning, context: MethodContext) -> AdaptedModel:
    layers = {} if spec.encoder == "MLP" else {"encoder_num_layers": spec.encoder_layers}
    config = PromptEncoderConfig(
        num_virtual_tokens=spec.num_virtual_tokens,
        encoder_reparameterization_type=spec.encoder,
        encoder_hidden_size=spec.encoder_size,
        encoder_dropout=spec.encoder_dropout,
        **prompt_shape(base),
        **layers,
    )
    return AdaptedModel(
        model=wrap(base, config, context), base=base, virtual_tokens=spec.num_virtual_tokens
    )


def _initialise_p_tuning(adapted: AdaptedModel, spec: PTuning, context: MethodContext) -> None:
    """Solves the encoder's last layer for the embeddings of the text, by least squares.

    With at least as many hidden units as virtual tokens the start is exact.
    """
    if spec.init == "random":
        return
    encoder = _encoder(adapted)
    last: nn.Linear = encoder.mlp_head[-1]
    wanted = _embeddings(adapted, _token_ids(adapted, spec, context))
    hidden: list[Tensor] = []
    handle = last.register_forward_pre_hook(lambda _module, inputs: hidden.append(inputs[0]))
    with torch.no_grad():
        encoder(torch.arange(spec.num_virtual_tokens, device=wanted.device))
        handle.remove()
        last.bias.copy_(wanted.mean(dim=0))
        last.weight.copy_(_least_squares(hidden[0], wanted - last.bias).T)


# --- prefix tuning --------------------------------------------------------------------------


def _apply_prefix(base: Base, spec: Prefix, context: MethodContext) -> AdaptedModel:
    _check_takes_a_prefix(base)
    config = PrefixTuningConfig(
        num_virtual_tokens=spec.num_virtual_tokens,
        prefix_projection=spec.projection,
        encoder_hidden_size=spec.projection_size or base.config.hidden_size,
        # A projected prefix can only start from a text through PEFT's own zero-started network.
        init_weights="zero" if spec.init == "zero" else None,
        **cache_shape(base),
    )
    return AdaptedModel(model=wrap(base, config, context), base=base)


def _check_takes_a_prefix(base: Base) -> None:
    """Refuses architectures whose attention takes no keys and values from outside.

    Raises:
        MethodError: for DistilBERT, ALBERT, DeBERTa-v2, ModernBERT and their like.
    """
    parameters = inspect.signature(base.model.base_model.forward).parameters
    if "past_key_values" not in parameters:
        raise MethodError(
            f"{base.config.model_type} cannot be given a prefix",
            where="method.name",
            why="its attention takes no past keys and values, which is what a prefix is",
            fix="use method prompt or p-tuning, or a BERT, RoBERTa, ELECTRA or GPT model",
        )


def cache_shape(base: Base) -> dict[str, int]:
    """What PEFT (0.21) gets wrong where a config does not say how many heads have keys of their
    own: Falcon's multi-query attention has one. Empty where that cannot be read off the model,
    which may have no numbers; PEFT then goes by the config."""
    try:
        layers = _fill_cache(base, torch.zeros(1, 1, dtype=torch.long, device=base.model.device))
    except RuntimeError:  # a model that asks what its inputs are, and they have no numbers
        return {}
    shapes = {(keys.shape[1], keys.shape[3]) for keys, _ in layers}
    if len(shapes) != 1:
        return {}
    heads, size = shapes.pop()
    return {"num_attention_heads": heads, "token_dim": heads * size}


def _fill_cache(base: Base, ids: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Keys and values of each layer that has some, (batch, heads, tokens, size of a head)."""
    was_training, cache = base.model.training, DynamicCache()
    base.model.eval()
    try:
        with torch.no_grad():
            base.model.base_model(input_ids=ids, past_key_values=cache, use_cache=True)
    finally:
        base.model.train(was_training)
    return [(layer.keys, layer.values) for layer in cache.layers if layer.keys is not None]


def _initialise_prefix(adapted: AdaptedModel, spec: Prefix, context: MethodContext) -> None:
    """Starts the prefix from the keys and values of a text (Li & Liang 2021, section 7.5).

    PEFT stores a row per virtual token: layer by layer, keys then values, (2 * layers * hidden).
    """
    if spec.init != "text":
        return
    rows = _keys_and_values(adapted, _token_ids(adapted, spec, context))
    encoder = _encoder(adapted)
    with torch.no_grad():
        if not spec.projection:
            encoder.embedding.weight.copy_(rows)
            return
        last: nn.Linear = encoder.transform[-1]
        hidden = encoder.transform[:-1](encoder.embedding.weight)
        last.bias.copy_(rows.mean(dim=0))
        last.weight.copy_(_least_squares(hidden, rows - last.bias).T)


def _keys_and_values(adapted: AdaptedModel, ids: Tensor) -> Tensor:
    layers = _fill_cache(adapted.base, ids.unsqueeze(0))
    if len(layers) != adapted.base.config.num_hidden_layers:
        raise MethodError(
            f"{adapted.base.config.model_type} does not hand out its keys and values",
            where="method.init",
            fix="use method.init: zero, or prompt tuning",
        )
    # (1, heads, tokens, head) -> (tokens, heads * head)
    flat = [
        states.squeeze(0).transpose(0, 1).reshape(len(ids), -1)
        for layer in layers
        for states in layer
    ]
    return torch.cat(flat, dim=1)


PROMPT = Method(
    name="prompt",
    paper="Lester, Al-Rfou & Constant 2021, arXiv:2104.08691",
    export_kind="peft",
    apply=_apply_prompt,
    initialise=_initialise_prompt,
)

P_TUNING = Method(
    name="p-tuning",
    paper="Liu et al. 2021, arXiv:2103.10385 (GPT Understands, Too)",
    export_kind="peft",
    apply=_apply_p_tuning,
    initialise=_initialise_p_tuning,
)

PREFIX = Method(
    name="prefix",
    paper="Li & Liang 2021, arXiv:2101.00190; on encoders also P-tuning v2, arXiv:2110.07602",
    export_kind="peft",
    apply=_apply_prefix,
    initialise=_initialise_prefix,
)
