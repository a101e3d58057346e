"""(IA)3: learned vectors that rescale keys, values and feed-forward activations."""

from peft import IA3Config
from transformers.pytorch_utils import Conv1D

from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.methods.targets import set_targets
from workbench.methods.wrapping import check_targets, wrap
from workbench.models import Base
from workbench.recipe.methods import IA3 as IA3Spec


def _apply(base: Base, spec: IA3Spec, context: MethodContext) -> AdaptedModel:
    for key, targets in (
        ("target_modules", spec.target_modules),
        ("feedforward", spec.feedforward),
    ):
        check_targets(base.model, targets or [], key=f"method.{key}")
    config = IA3Config(
        target_modules=spec.target_modules,
        feedforward_modules=spec.feedforward,
        fan_in_fan_out=any(isinstance(m, Conv1D) for m in base.model.modules()),
    )
    found = set_targets(base, config, "method.target_modules")
    return AdaptedModel(model=wrap(base, config, context), base=base, layers_by_kind=found)


IA3 = Method(
    name="ia3",
    paper="Liu et al. 2022, arXiv:2205.05638",
    export_kind="peft",
    apply=_apply,
)
