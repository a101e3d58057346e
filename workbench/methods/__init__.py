"""Fine-tuning methods: one table, one file per family.

To add one: its words in ``workbench.recipe.methods``, its code in a file here, a line in METHODS
and a recipe. The contract tests cover it from then on.
"""

from __future__ import annotations

from workbench.methods.any_peft import PEFT
from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.methods.ia3 import IA3
from workbench.methods.lora import LORA
from workbench.methods.prompts import P_TUNING, PREFIX, PROMPT
from workbench.methods.selective import BITFIT, FULL, HEAD

METHODS: dict[str, Method] = {
    "full": FULL,
    "head": HEAD,
    "bitfit": BITFIT,
    "lora": LORA,
    "ia3": IA3,
    "prefix": PREFIX,
    "p-tuning": P_TUNING,
    "prompt": PROMPT,
    "peft": PEFT,
}

__all__ = ["METHODS", "AdaptedModel", "Method", "MethodContext"]
