"""The model of a recipe: a base with the method on it, in this one place."""

from collections.abc import Callable

import torch
from accelerate.utils import set_seed
from transformers import PreTrainedModel

from workbench import methods
from workbench.errors import MethodError
from workbench.methods.base import AdaptedModel, MethodContext
from workbench.methods.on_quantized import check_as_loaded, check_on_quantized
from workbench.models import Base, check_positions
from workbench.recipe import Recipe
from workbench.recipe.schema import ModelSpec
from workbench.tasks import AnyTask

LoadBase = Callable[[ModelSpec, AnyTask], Base]
"""``load_base``, ``empty_base`` or ``fake_base`` of ``workbench.models``, given all but these."""

TRAIN_NEW_TOKENS = ("full", "lora")
"""Methods that train word embeddings of tokens that were added to the tokenizer."""
ANY_STEPS = 10**6
"""Steps of a training whose length is not known yet, long enough for any method's schedule."""


def build_model(
    recipe: Recipe,
    task: AnyTask,
    load: LoadBase,
    *,
    steps: int = ANY_STEPS,
    seed: int | None = None,
) -> AdaptedModel:
    """The base that ``load`` gives, with the recipe's method on it.

    Args:
        steps: optimizer steps that the training will take.
        seed: of all random numbers that the model starts from; None where the base has no numbers,
            and nothing is set that depends on them.

    Raises:
        WorkbenchError: when there is no such base, or the method does not work out on it.
    """
    if seed is not None:
        set_seed(seed)
    base = load(recipe.model, task)
    check_positions(base, recipe.model.max_length, recipe.method.prompt_length)
    if recipe.training.gradient_checkpointing:
        checkpoint_activations(base.model)
        base.model.enable_input_require_grads()
    if base.new_tokens and recipe.method.name not in TRAIN_NEW_TOKENS:
        raise MethodError(
            f"{recipe.method.name} does not train the word embeddings of new tokens",
            where="model.resize_embeddings",
            why="they would stay at their start, and a plain load would not have them",
            fix=f"take method {' or '.join(TRAIN_NEW_TOKENS)}",
        )
    method = methods.METHODS[recipe.method.name]
    context = MethodContext(task.peft_task_type, steps, task.prompt_text)
    adapted = method.apply(base, recipe.method, context)
    if not adapted.trainable():
        raise MethodError(
            f"{recipe.method.name} has nothing to train on {base.config.model_type}",
            where="method.name",
            why="the model has no parameters of that kind (many decoders have no biases)",
            fix="take lora, prefix or prompt",
        )
    check_on_quantized(adapted, recipe.method.label)
    if seed is not None and method.initialise:
        method.initialise(adapted, recipe.method, context)
    if seed is not None:
        _try(adapted, recipe, task)
        check_as_loaded(adapted, recipe.method.label)
    return adapted


@torch.no_grad()
def _try(adapted: AdaptedModel, recipe: Recipe, task: AnyTask) -> None:
    """Refuses a prompt or prefix, or a base in fewer bits, that PEFT or the architecture does not
    compute with.

    PEFT (0.21) runs a classifier with a prefix by itself, which fails on BigBird's two-part head;
    Longformer's classifier asks for token ids, and behind a prompt there are none. Its IA3 gives
    fp32 out of quantised layers, whatever goes in.

    Raises:
        MethodError: with the error of two tokens that were tried.
    """
    model = adapted.model
    prompt = getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False)
    if not prompt and not recipe.model.reduced:
        return
    was_training = model.training
    ids = torch.zeros(1, 2, dtype=torch.long, device=adapted.base.model.device)
    try:
        model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))
    except (TypeError, IndexError, ValueError, RuntimeError, AttributeError) as error:
        weights = f" in {recipe.model.weight_words}" if recipe.model.reduced else ""
        fix = "take lora, or another method that changes weights"
        raise MethodError(
            f"{recipe.method.label} does not work on {adapted.base.config.model_type}{weights} for "
            f"{task.spec.name}: {type(error).__name__}: {str(error).splitlines()[0]}",
            where="model.dtype" if weights else "method.name",
            why="plain transformers + PEFT end with this error on any text",
            fix="set model.dtype: fp32, or take lora" if weights else fix,
        ) from error
    finally:
        model.train(was_training)


def checkpoint_activations(model: PreTrainedModel) -> None:
    """Lets a backward pass compute activations again instead of keeping them."""
    # transformers 5.17 knows only the second name, which 5.23 deprecates.
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)({"use_reentrant": False})
