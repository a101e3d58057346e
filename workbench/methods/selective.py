"""Methods that add nothing and train a part of the model's own parameters."""

from collections.abc import Callable
from typing import Any

from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.models import Base


def _train_only(
    chosen: Callable[[str], bool],
) -> Callable[[Base, Any, MethodContext], AdaptedModel]:
    def apply(base: Base, _spec: Any, _context: MethodContext) -> AdaptedModel:
        adapted = AdaptedModel(model=base.model, base=base)
        for name, parameter in base.model.named_parameters():
            parameter.requires_grad_(adapted.is_head(name) or chosen(name))
        return adapted

    return apply


FULL = Method(
    name="full",
    paper="Howard & Ruder 2018, arXiv:1801.06146; Devlin et al. 2019, arXiv:1810.04805",
    export_kind="full",
    apply=_train_only(lambda name: True),
)

HEAD = Method(
    name="head",
    paper="Alain & Bengio 2016, arXiv:1610.01644 (linear probes)",
    export_kind="delta",
    apply=_train_only(lambda name: False),
)

BITFIT = Method(
    name="bitfit",
    paper="Ben Zaken, Ravfogel & Goldberg 2022, arXiv:2106.10199",
    export_kind="delta",
    apply=_train_only(lambda name: name.rpartition(".")[2] == "bias"),
)
