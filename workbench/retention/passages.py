"""The general text that retention is measured on: 48 English passages, 72 to 109 words each.

Of public domain: 17 from posts of 18F (2014 to 2023; works of the United States government, CC0
elsewhere), and from books as Project Gutenberg has them: 7 from E. M. Lane's novel Katrine (1909,
no. 14263), 6 from J. Street's American Adventures (1917, 18304), 7 from W. Morris' News from
Nowhere (1890, 3261), 6 from Beethoven's letters in Lady Wallace's translation (1866, 13272) and 5
from The Girl's Own Paper of 2 October 1886 (18195). Cut at the end of a sentence, quotation marks
and dashes in ASCII.
"""

import hashlib
import json
from pathlib import Path

from workbench.errors import AssetError

FILE = Path(__file__).with_name("passages.jsonl")
SHA256 = "5f94d9284b833d8bb8a4927fa802824eba609bd9f77f91c43af3921c9e0865e9"


def read_passages(file: Path = FILE) -> list[str]:
    """The passages in their fixed order.

    Raises:
        AssetError: when the file is missing, or is not the one that was declared.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise AssetError(
            f"the general text cannot be read: {error.strerror}",
            where=str(file),
            fix="install the package again",
        ) from error
    if hashlib.sha256(content).hexdigest() != SHA256:
        raise AssetError(
            "the general text has changed",
            where=str(file),
            why="figures on another text cannot be compared",
            fix="install the package again",
        )
    return [json.loads(line)["text"] for line in content.decode("ascii").splitlines()]
