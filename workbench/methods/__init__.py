"""Fine-tuning methods, one file per family: their words are in ``workbench.recipe.methods``."""

from importlib import import_module
from pkgutil import iter_modules

from workbench.methods.base import AdaptedModel, Method, MethodContext
from workbench.recipe.methods import METHOD_SPECS


def _collected() -> dict[str, Method]:
    """Every `Method` of the files here, in the order of the specs that share their names."""
    modules = [import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__)]
    values = [value for module in modules for value in vars(module).values()]
    found = {value.name: value for value in values if isinstance(value, Method)}
    return {name: found[name] for name in METHOD_SPECS if name in found}


METHODS = _collected()
