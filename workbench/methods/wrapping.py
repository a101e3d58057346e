"""Putting PEFT on a base model without its silent surprises."""

from collections.abc import Iterable
from typing import Any

from peft import PeftConfig, PeftModel, get_peft_model
from torch import nn

from workbench.errors import MethodError, nearest
from workbench.methods.base import MethodContext
from workbench.models import Base

_HEADS_PEFT_KNOWS = {
    "SEQ_CLS": {"classifier", "score"},
    "TOKEN_CLS": {"classifier", "score"},
    "QUESTION_ANS": {"qa_outputs"},
}
"""Parts of a head that PEFT (0.21) trains and saves by itself, for each of its tasks."""


def wrap(base: Base, config: PeftConfig, context: MethodContext) -> PeftModel:
    """The base with a PEFT adapter and a trainable head.

    Every part of the head is trained and saved, also those whose names PEFT does not know
    (DistilBERT's ``pre_classifier`` starts at random and would stay so).

    Raises:
        MethodError: with PEFT's own reason when it refuses the model or the config.
    """
    config.task_type = context.peft_task_type
    config.revision = base.revision
    known = _HEADS_PEFT_KNOWS.get(context.peft_task_type, set())
    more_heads = [name for name in base.head_names if name not in known]
    if config.is_prompt_learning:
        # PEFT goes by how a name ends, and P-tuning's own network has an "mlp_head".
        more_heads = [f"base_model.{n}" if hasattr(base.model, n) else n for n in more_heads]
    if more_heads and hasattr(config, "modules_to_save"):
        config.modules_to_save = list(dict.fromkeys([*(config.modules_to_save or ()), *more_heads]))
    try:
        model = get_peft_model(base.model, config)
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
        raise MethodError(
            f"PEFT cannot put {config.peft_type} on {base.config.model_type}: {error}",
            where="method",
            fix="change the method's fields, or take one that the model supports",
        ) from error
    # get_peft_model fills in the loaded folder, which is a path of this machine.
    config.base_model_name_or_path = base.public_name
    return model


def new_token_rows(base: Base) -> dict[str, list[int]] | None:
    """The rows of word embedding and output layer to train for new tokens, in PEFT's words.

    An output layer that is the word embedding follows it by itself.
    """
    if not base.new_tokens:
        return None
    model = base.model
    inputs, outputs = model.get_input_embeddings(), model.get_output_embeddings()
    layers = [inputs] if outputs is None or outputs.weight is inputs.weight else [inputs, outputs]
    names = {id(module): name for name, module in model.named_modules()}
    return {names[id(layer)]: list(base.new_tokens) for layer in layers}


def check_targets(
    model: nn.Module,
    targets: Iterable[str],
    key: str = "method.target_modules",
    kinds: Any = nn.Module,
) -> None:
    """Refuses target names that match no layer.

    PEFT (0.21) complains only when none of a list matches; a list that is partly wrong trains
    half the adapters and says nothing.

    Raises:
        MethodError: naming the unmatched targets and the candidates.
    """
    leaves = {
        name: name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, kinds)
    }
    unmatched = [
        target
        for target in targets
        if not any(name == target or name.endswith(f".{target}") for name in leaves)
    ]
    if not unmatched:
        return
    candidates = sorted({leaf for name, leaf in leaves.items() if _has_weight(model, name)})
    near = [found for target in unmatched if (found := nearest(target, candidates))]
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise MethodError(
        f"no layer of the model is called {', '.join(map(repr, unmatched))}{hint}",
        where=key,
        why="PEFT would adapt the other targets only and say nothing",
        fix=f"choose from {', '.join(candidates)}",
    )


def _has_weight(model: nn.Module, name: str) -> bool:
    module = model.get_submodule(name)
    return isinstance(getattr(module, "weight", None), nn.Parameter) and not isinstance(
        module, nn.Embedding | nn.LayerNorm
    )
