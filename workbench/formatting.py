"""Numbers as people read them; exact ones are in the json and csv formats."""

import re
from collections.abc import Sequence

ABSENT = "–"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that move the cursor, colour or reorder what a terminal shows; lone surrogates."""


def printable(text: str) -> str:
    """A text of any origin for a terminal: lines and tabs stay, other controls become U+FFFD."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def plain(text: str) -> str:
    """Text of a run folder on one line, with nothing in it that a terminal could obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def shortened(text: str, most: int = 40) -> str:
    """A name that is longer without its middle: what tells names apart is often their end."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def escaped_controls(document: str) -> str:
    """JSON with these characters, which only its strings can hold, as escapes."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def count(value: float | None) -> str:
    """73728 -> ``73.7k``."""
    return ABSENT if value is None else _scaled(value, ("", "k", "M", "B"))


def size(value: float | None) -> str:
    """Bytes, 1190000 -> ``1.19 MB`` (decimal units)."""
    return ABSENT if value is None else _scaled(value, (" B", " kB", " MB", " GB", " TB"))


def duration(seconds: float | None) -> str:
    """Seconds, 8.41 -> ``8.4 s``, 125 -> ``2 min 05 s``."""
    if seconds is None:
        return ABSENT
    if round(seconds, 1) < 60:
        return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def about(seconds: float) -> str:
    """An estimate, no finer than it is known, 47 -> ``about 50 s``, 125 -> ``about 2 min``."""
    if seconds < 55:
        return f"about {max(10, round(seconds, -1)):.0f} s"
    minutes = max(1, round(seconds / 60))
    return f"about {minutes} min" if minutes < 90 else f"about {seconds / 3600:.1f} h"


def plural(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def listing(names: Sequence[str], most: int | None = 4) -> str:
    """``a, b and c``, or ``a, b, c, d and 3 more``; None names all of them."""
    shown = list(names[:most])
    if len(names) > len(shown):
        return f"{', '.join(shown)} and {len(names) - len(shown)} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def timed(timings: int, between: Sequence[float] | None) -> str:
    """On what a forecast of time rests, ``2.0 s to 2.9 s by 5 timings of the device``.

    Args:
        timings: how often the device was timed.
        between: seconds as fast and as slow as it was then; None where that says too little.
    """
    words = f"by {plural(timings, 'timing')} of the device"
    return f"{' to '.join(map(duration, between))} {words}" if between else words


def share(part: float | None, whole: float | None) -> str:
    """One number as percentage of another, ``0.27%``."""
    if part is None or not whole:
        return ABSENT
    percent = 100 * part / whole
    if 0 < percent < 0.01:
        return "<0.01%"
    return f"{percent:.2g}%" if percent < 10 else f"{percent:.3g}%"


def score(
    mean: float | None, interval: tuple[float, float] | None = None, n: int | None = None
) -> str:
    """A score with its interval and the number of runs, ``0.957 [0.951, 0.962] (3)``.

    Three decimals, and fewer from 10 on: a perplexity is ``26.91``.
    """
    if mean is None:
        return ABSENT
    ends = interval or ()
    decimals = _decimals(mean, *ends)
    counted = f" ({n})" if n is not None else ""
    spread = f" [{', '.join(f'{end:,.{decimals}f}' for end in ends)}]" if ends else ""
    return f"{mean:,.{decimals}f}{spread}{counted}"


def difference(mean: float | None, half: float | None = None) -> str:
    """A signed difference of scores, ``-0.004 ± 0.006``."""
    if mean is None:
        return ABSENT
    decimals = _decimals(mean, half or 0.0)
    rounded = round(mean, decimals) + 0.0  # + 0.0 makes -0.000 positive
    spread = "" if half is None else f" ± {half:,.{decimals}f}"
    return f"{rounded:+,.{decimals}f}{spread}"


def ratios(*numbers: float) -> list[str]:
    """With two decimals, or up to four where fewer do not tell them from each other or from 1: the
    end of an interval that leaves out 1 is not written as 1."""
    found: list[str] = []
    for decimals in (2, 3, 4):
        found = [f"{number:,.{decimals}f}" for number in numbers]
        if len({*map(float, (t.replace(",", "") for t in found)), 1.0}) == len({*numbers, 1.0}):
            break
    return found


def _decimals(*numbers: float) -> int:
    """Decimals that leave four digits of the largest one; three at most."""
    largest = max(map(abs, numbers))
    return next((3 - i for i, limit in enumerate((10, 100, 1000)) if largest < limit), 0)


def _scaled(value: float, units: tuple[str, ...]) -> str:
    """Three digits and a unit; 999,950 is 1M, not 1000k."""
    for unit in units[:-1]:
        if abs(value) < 999.5:
            return f"{value:.3g}{unit}"
        value /= 1000
    return f"{value:.3g}{units[-1]}" if abs(value) < 999.5 else f"{value:,.0f}{units[-1]}"
