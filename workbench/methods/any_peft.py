"""Any method that PEFT ships, by its own name and its own config fields."""

from dataclasses import fields
from typing import Any

import torch
from peft import PeftConfig
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from torch import Tensor, nn

from workbench.errors import MethodError
from workbench.methods.base import AdaptedModel, ExtraState, Method, MethodContext
from workbench.methods.prompts import cache_shape, prompt_shape
from workbench.methods.targets import set_targets
from workbench.methods.wrapping import check_targets, wrap
from workbench.models import Base
from workbench.recipe.methods import Peft
from workbench.recipe.peft_types import NOT_ALONE
from workbench.recipe.suggest import did_you_mean


def _config_class(spec: Peft) -> type[PeftConfig]:
    classes = {str(k.value): v for k, v in PEFT_TYPE_TO_CONFIG_MAPPING.items()}
    name = spec.type.upper()
    if name in NOT_ALONE:
        raise MethodError(
            f"{spec.type} cannot be trained from a recipe",
            where="method.type",
            why=NOT_ALONE[name],
            fix="take another PEFT method",
        )
    if name not in classes:
        raise MethodError(
            f"PEFT has no method {spec.type!r}. {did_you_mean(name, classes)}".strip(),
            where="method.type",
            fix=f"one of {', '.join(sorted(set(classes) - set(NOT_ALONE)))}",
        )
    chosen: type[PeftConfig] = classes[name]
    return chosen


def _checked(config_class: type[PeftConfig], spec: Peft) -> PeftConfig:
    known = {f.name for f in fields(config_class) if f.init}
    for key in spec.config:
        if key not in known:
            raise MethodError(
                f"{config_class.__name__} has no field {key!r}. {did_you_mean(key, known)}".strip(),
                where=f"method.config.{key}",
                fix=f"its fields: {', '.join(sorted(known))}",
            )
    try:
        return config_class(**spec.config)
    except (ValueError, TypeError) as error:
        raise MethodError(
            f"{config_class.__name__} refuses these values: {error}", where="method.config"
        ) from error


def _apply(base: Base, spec: Peft, context: MethodContext) -> AdaptedModel:
    config_class = _config_class(spec)
    values = dict(spec.config)
    if spec.type.upper() == "ADALORA":
        values.setdefault("total_step", context.total_steps)
    config = _checked(config_class, spec.model_copy(update={"config": values}))
    targets = spec.config.get("target_modules")
    if isinstance(targets, list):
        check_targets(base.model, targets, key="method.config.target_modules")
    _fill_shape(base, config)
    found = set_targets(base, config, "method.config.target_modules")
    model = wrap(base, config, context)
    before_text = config.is_prompt_learning and config.peft_type != "PREFIX_TUNING"
    allocate = getattr(model.base_model, "update_and_allocate", None)
    allocator = getattr(model.base_model, "rankallocator", None)
    return AdaptedModel(
        model=model,
        base=base,
        layers_by_kind=found or targets == "all-linear",
        virtual_tokens=config.num_virtual_tokens if before_text else 0,
        after_step=allocate,
        own_state=_ranks(allocator, model) if allocator is not None else None,
    )


def _fill_shape(base: Base, config: PeftConfig) -> None:
    """Gives virtual tokens the model's shape, where the recipe leaves it open."""
    if config.peft_type == "PREFIX_TUNING":
        shape = cache_shape(base)
    elif config.peft_type in ("PROMPT_TUNING", "P_TUNING"):
        shape = prompt_shape(base)
    else:
        return
    for name, value in shape.items():
        if getattr(config, name) is None:
            setattr(config, name, value)


def _ranks(allocator: Any, model: nn.Module) -> ExtraState:
    """AdaLoRA's importances and the ranks that it has settled on, which PEFT (0.21) keeps in
    attributes of its allocator and in the config."""
    importances = ("ipt", "exp_avg_ipt", "exp_avg_unc")

    def read() -> dict[str, Tensor]:
        kept = {
            f"{of}|{name}": value
            for of in importances
            for name, value in getattr(allocator, of).items()
        }
        ranks = allocator.peft_config.rank_pattern or {}
        return kept | {f"ranks|{name}": torch.tensor(row) for name, row in ranks.items()}

    def write(saved: dict[str, Tensor]) -> None:
        parts: dict[str, dict[str, Tensor]] = {of: {} for of in (*importances, "ranks")}
        device = next(model.parameters()).device
        for key, value in saved.items():
            of, _, name = key.partition("|")
            parts[of][name] = value.to(device)
        ranks = parts.pop("ranks")
        allocator.peft_config.rank_pattern = {n: t.tolist() for n, t in ranks.items()} or None
        for of, values in parts.items():
            setattr(allocator, of, values)

    return ExtraState(read, write)


PEFT = Method(
    name="peft",
    paper="the paper that PEFT's documentation names for the type",
    export_kind="peft",
    apply=_apply,
)
