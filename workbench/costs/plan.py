"""``workbench plan``: all that is known of a recipe before it runs."""

from typing import Any

from workbench.costs.adapter_size import adapter_size
from workbench.costs.calibration import Calibration
from workbench.costs.dry_run import RunSpec
from workbench.costs.forecast import forecast, unknown
from workbench.costs.parameters import count_parameters
from workbench.costs.texts import Texts, read_texts
from workbench.distributed.accelerator import this_process
from workbench.distributed.launcher import check_launch
from workbench.distributed.policy import Policy
from workbench.errors import UsageError
from workbench.methods.build import build_model
from workbench.models import empty_base, load_tokenizer, policy_for
from workbench.recipe import Recipe
from workbench.store.allowed_metrics import check_allowed


def plan(recipe: Recipe, *, time: bool = True, recalibrate: bool = False) -> dict[str, Any]:
    """What a recipe trains, stores and will take on this device; no weights are read.

    Exact are ``trainable_parameters`` (with the head), ``head_``, ``adapter_``, ``total_`` and
    ``stored_parameters`` and the ``adapter_bytes`` of the exported file. Forecast are ``steps``
    and ``tokens`` (an upper bound where ``tokens_are_upper_bound``), ``peak_memory_bytes`` with its
    parts in ``memory``, whether it ``fits`` into ``free_memory_bytes``, ``largest_batch_size`` (per
    forward pass; at least that where ``largest_batch_is_lower_bound``, as the search ends there),
    ``seconds_per_step`` and ``train_seconds``, by at least so many ``timings`` of this device; from
    three on their ``_range`` is from all operators at their fastest to all at their slowest. What
    is not known is None, and ``notes`` say why; they also say what is not done as asked.

    Args:
        time: also say how long it takes, which measures operators that are new to this device.
        recalibrate: measure all of them again.

    Raises:
        WorkbenchError: when model, method or data do not work out.
    """
    check_allowed([recipe])
    texts = read_texts(recipe)
    adapted = build_model(recipe, texts.task, empty_base)
    size = adapter_size(adapted, recipe)
    process = this_process()
    check_launch(recipe.training, process.num_processes)
    on = process.device, process.num_processes
    policy = policy_for(recipe.model, texts.task.auto_class, recipe.training, *on)
    calibration = Calibration.of(policy, process.device, anew=recalibrate) if time else None
    try:
        run = run_spec(recipe, texts, policy)
        seed = recipe.seeds[0]
        found = forecast(run, process.device, seed, calibration, measuring=True, what_if=True)
    except UsageError as error:  # shapes need a config alone; texts are read with a tokenizer
        found = unknown(str(error).splitlines()[0])
    return {
        **{f"{name}_parameters": value for name, value in count_parameters(adapted).items()},
        "stored_parameters": size["stored"],
        "adapter_bytes": size["bytes"],
        "device": policy.device,
        "precision": policy.precision,
        **found,
        "notes": [*policy.notes, *found["notes"]],
    }


def run_spec(recipe: Recipe, texts: Texts, policy: Policy) -> RunSpec:
    """What is known of a training before it is one; a UsageError when there is no tokenizer."""
    tokenizer = load_tokenizer(recipe.model)
    return RunSpec(
        recipe=recipe,
        task=texts.task,
        policy=policy,
        tokenizer=tokenizer,
        train=texts.encoded(tokenizer, recipe.model.max_length),
        examples=texts.number,
        upper_bound=texts.upper_bound,
    )
