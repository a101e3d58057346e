"""Finds the base model of a foreign adapter on this machine; nothing is ever fetched."""

from dataclasses import dataclass
from pathlib import Path

from workbench.assets import ASSETS, path_of, state
from workbench.errors import UsageError
from workbench.recipe.sources import ASSET_PREFIX, is_hub_id


@dataclass(frozen=True)
class LocalBase:
    """A model that is on this machine."""

    name: str
    """Hub id, or the folder where there is none."""
    revision: str | None
    folder: Path


def find_base(adapter_says: str, revision: str | None, given: str | None) -> LocalBase:
    """The base that the user gives or else, if that is not a path, the one that the adapter names.

    Raises:
        UsageError: when it is not here, with the command that fetches it, or the adapter names a
            folder of another machine.
    """
    if given is not None:
        folder = Path(given).expanduser()
        if folder.is_dir():
            return LocalBase(str(folder.resolve()), None, folder.resolve())
        return _cached(given, revision if given == adapter_says else None)
    if not is_hub_id(adapter_says):
        raise UsageError(
            f"the adapter names {adapter_says[:200]!r} as its base, which is not a name of the Hub"
            if adapter_says
            else "the adapter does not say which base it was trained on",
            where="base_model_name_or_path",
            why="a path of the machine that made it means nothing here",
            fix="pass --base MODEL: a folder, a Hub id or asset:NAME",
        )
    return _cached(adapter_says, revision)


def _cached(name: str, revision: str | None) -> LocalBase:
    for asset in ASSETS.values():
        known = (f"{ASSET_PREFIX}{asset.name}", asset.hub_id or asset.name)
        if asset.kind == "model" and name in known:
            if state(asset.name) != "cached":
                raise _absent(name, str(path_of(asset)), f"workbench assets pull {asset.name}")
            return LocalBase(asset.hub_id or asset.name, None, path_of(asset))
    if not is_hub_id(name):
        raise UsageError(
            f"{name[:200]!r} is neither a folder here nor a Hub id nor asset:NAME", where="--base"
        )
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.constants import HF_HUB_CACHE

    found = try_to_load_from_cache(name, "config.json", revision=revision)
    if not isinstance(found, str):
        at = f" --revision {revision}" if revision else ""
        raise _absent(name, HF_HUB_CACHE, f"hf download {name}{at}")
    return LocalBase(name, revision, Path(found).parent)


def _absent(name: str, looked: str, command: str) -> UsageError:
    return UsageError(
        f"its base model {name} is not on this machine",
        where=looked,
        why="a model that an adapter names is never fetched unasked",
        fix=f"if you trust it, fetch it with `{command}`, or pass --base FOLDER",
    )
