"""What a source string means: an embedded asset, something local, or a Hub id."""

import re
from pathlib import Path

from workbench.assets.catalogue import ASSET_PREFIX as ASSET_PREFIX

_HUB_ID = re.compile(r"(?!.*(?:--|\.\.))(?:[A-Za-z0-9_][\w.-]*/)?[A-Za-z0-9_][\w.-]*(?<![.-])")
_LONGEST_HUB_ID = 96
SEPARATORS = {".csv": ",", ".tsv": "\t"}
NAMED_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
CONLL_SUFFIXES = (".conll", ".conllu", ".bio", ".iob")
"""Files with a word and its tag on each line, and an empty line between sentences."""
TABLE_SUFFIXES = (*SEPARATORS, ".jsonl", ".json", ".parquet", *CONLL_SUFFIXES)


def is_hub_id(source: str) -> bool:
    """True for what the Hub takes as a name: ``name`` or ``owner/name``."""
    return len(source) <= _LONGEST_HUB_ID and _HUB_ID.fullmatch(source) is not None


def is_table(source: str) -> bool:
    """True for the path of a single file of rows."""
    return not source.startswith(ASSET_PREFIX) and Path(source).suffix.lower() in TABLE_SUFFIXES


def is_separated(source: str) -> bool:
    """True for the path of a table whose cells hold plain text only."""
    return is_table(source) and Path(source).suffix.lower() in SEPARATORS


def is_conll(source: str) -> bool:
    """True for the path of a file with a word and its tag on each line."""
    return is_table(source) and Path(source).suffix.lower() in CONLL_SUFFIXES


def is_local(source: str) -> bool:
    """True for a path as a loaded recipe holds it: absolute."""
    return Path(source).is_absolute()


def resolve_source(source: str, folder: Path) -> str:
    """A local source as an absolute path, read from the folder it was written in.

    Local is what starts with ``.``, ``~`` or ``/``, ends like a table, or names a folder there;
    everything else (Hub ids, assets) comes back unchanged.
    """
    if source.startswith(ASSET_PREFIX) or not source:
        return source
    looks_local = source.startswith((".", "~", "/")) or is_table(source)
    if looks_local or _is_folder(folder / source):
        return absolute(source, folder)
    return source


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # a name longer than the file system takes
        return False


def absolute(path: str, folder: Path) -> str:
    """A path as an absolute one, read from the folder it was written in."""
    # resolve() and not absolute(): the same file must give the same fingerprint however named
    try:
        return str((folder / Path(path).expanduser()).resolve())
    except RuntimeError:  # a user that does not exist: let it be reported as a missing path
        return str((folder / path).resolve())
