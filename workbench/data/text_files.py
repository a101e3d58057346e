"""Bytes of a file to characters, without ever losing one."""

import codecs
import io
from dataclasses import dataclass
from pathlib import Path

from workbench.data.rows import unreadable
from workbench.errors import DataError
from workbench.recipe.schema import DataSpec

MAX_FILE_BYTES = 1_000_000_000
"""Largest text file read; as characters it takes up to four times that in memory."""

# First bytes of formats that people rename or download by mistake.
_MAGIC = {
    b"PK\x03\x04": "a zip archive or an Excel workbook (.xlsx)",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls)",
    b"\x1f\x8b": "gzip-compressed",
    b"BZh91AY": "bzip2-compressed",
    b"\xfd7zXZ": "xz-compressed",
    b"\x28\xb5\x2f\xfd": "zstd-compressed",
    b"7z\xbc\xaf": "a 7z archive",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"%PDF-": "a PDF document",
    b"SQLite format 3": "an SQLite database",
    b"MZ\x90": "a Windows program",
    b"\x7fELF": "a Linux program",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}


@dataclass(frozen=True)
class Text:
    """The characters of a file.

    Attributes:
        fallback: where `data.encoding` failed, if it did.
        doubtful: whether it was read in another encoding and is valid UTF-8 all the same.
    """

    characters: str
    fallback: str = ""
    doubtful: bool = False


def read_bytes(path: Path) -> bytes:
    """The bytes of a file that fits in memory.

    Raises:
        DataError: unreadable, empty, or larger than MAX_FILE_BYTES.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise DataError(
                f"a file of {size:,} bytes",
                where=str(path),
                why=f"text files of more than {MAX_FILE_BYTES:,} bytes are refused",
                fix="write it as parquet, of which only the columns needed are read, or take a "
                "sample of its rows",
            )
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def read_text(path: Path, spec: DataSpec) -> Text:
    """The characters of a text file, in `data.encoding` or else, as a whole, in the fallback.

    A byte order mark is dropped.

    Raises:
        DataError: not a text file, or not in the declared encodings; names byte and line.
    """
    raw = read_bytes(path)
    _refuse_other_formats(raw, path)
    try:
        characters = _decode(raw, spec.encoding, "data.encoding")
        text = Text(characters, doubtful=_is_utf8_all_the_same(raw, spec.encoding))
    except UnicodeDecodeError as error:
        if spec.encoding_fallback is None:
            raise _undecodable(raw, spec.encoding, path, error) from error
        try:
            characters = _decode(raw, spec.encoding_fallback, "data.encoding_fallback")
        except UnicodeDecodeError as again:
            raise _undecodable(raw, spec.encoding_fallback, path, again) from again
        text = Text(characters, fallback=_place(raw, error))
    _refuse_nul(text.characters, path)
    return text


def _is_utf8_all_the_same(raw: bytes, encoding: str) -> bool:
    """True for letters beyond ASCII that only UTF-8 writes so: text in another encoding is hardly
    ever valid UTF-8 by chance."""
    if codecs.lookup(encoding).name == "utf-8" or raw.isascii():
        return False
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _decode(raw: bytes, encoding: str, key: str) -> str:
    """The characters; a UnicodeDecodeError is left to the caller, who knows what to try next."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        # utf-8-sig is utf-8 that also drops the byte order mark that Excel writes.
        is_utf8 = codecs.lookup(encoding).name == "utf-8"
        return raw.decode("utf-8-sig" if is_utf8 else encoding)
    except UnicodeDecodeError:
        raise
    except (LookupError, ValueError) as error:  # ValueError: names such as "undefined"
        raise DataError(
            f"{key}: {encoding!r} is not a text encoding that Python knows",
            fix="use for example utf-8, latin-1, windows-1252, utf-16, shift_jis or gb18030",
        ) from error


def _place(raw: bytes, error: UnicodeDecodeError) -> str:
    line = raw.count(b"\n", 0, error.start) + 1
    return f"byte {error.start}, line {line}: 0x{raw[error.start]:02x}"


def _undecodable(raw: bytes, encoding: str, path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(
        f"not valid {encoding} ({_place(raw, error)}: {error.reason})",
        where=str(path),
        why="characters are never dropped or replaced silently",
        fix=f"set data.encoding if all files are in another encoding ({_guess(raw)}), or "
        "data.encoding_fallback for the few that are",
    )


def _guess(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "this one looks like utf-16"
    try:
        raw.decode("windows-1252")
    except UnicodeDecodeError:
        return "this one could be latin-1, which takes any bytes"
    return "this one could be windows-1252 or latin-1"


def _refuse_other_formats(raw: bytes, path: Path) -> None:
    for magic, kind in _MAGIC.items():
        if raw.startswith(magic):
            raise DataError(
                f"this is {kind}, whatever its name says",
                where=str(path),
                why="a text file was expected",
                fix="unpack it, or export it as UTF-8 text",
            )


def _refuse_nul(characters: str, path: Path) -> None:
    at = characters.find("\0")
    if at >= 0:
        line = characters.count("\n", 0, at) + 1
        raise DataError(
            f"a NUL character (line {line}, character {at} of the file, counted from 0)",
            where=str(path),
            why="text holds none: the file is binary, damaged, or UTF-16 read as something else",
            fix="export it again as UTF-8; if it is UTF-16, set data.encoding: utf-16",
        )
