"""Using what was trained: load exported folders and ask them."""

from workbench.inference.adapters import (
    LoadedAdapter,
    Untouched,
    load_adapter,
    load_adapters,
    load_untouched,
    resident_bytes,
    share_weights,
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
    "Untouched",
    "check_weights",
    "find_export",
    "load_adapter",
    "load_adapters",
    "load_exported",
    "load_untouched",
    "local_base",
    "read_model_config",
    "resident_bytes",
    "share_weights",
]
