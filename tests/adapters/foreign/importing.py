"""Taking an adapter in, and being refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.adapters.foreign import import_adapter
from workbench.errors import WorkbenchError

Pack = Callable[..., Path]


def taken(source: Path, to: Path, base: Path | str | None, **more: Any) -> Path:
    return import_adapter(
        source, to, base=str(base) if base else None, confirm=lambda _: True, **more
    )


def refusal(source: Path, base: Path | str | None, **more: Any) -> str:
    """The message, after which nothing is left where the adapter would have been."""
    place = source.parent / "imported"
    with pytest.raises(WorkbenchError) as caught:
        taken(source, place / "mine", base, **more)
    assert not list(place.iterdir())
    return str(caught.value)
