"""Using what was trained: load exported folders and ask them."""

from workbench.inference.adapters import (
    LoadedAdapter,
    load_adapter,
    load_adapters,
    resident_bytes,
)
from workbench.inference.exported import (
    ABOUT,
    TRAINED_WEIGHTS,
    check_weights,
    find_export,
    load_exported,
    local_base,
    read_model_config,
)

__all__ = [
    "ABOUT",
    "TRAINED_WEIGHTS",
    "LoadedAdapter",
    "check_weights",
    "find_export",
    "load_adapter",
    "load_adapters",
    "load_exported",
    "local_base",
    "read_model_config",
    "resident_bytes",
]
