"""Numbers for people."""

import pytest

from workbench import formatting


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (999, "999"), (1925, "1.93k"), (73_728, "73.7k"), (999_950, "1M"), (None, "–")]
    + [(22_713_216, "22.7M"), (109_483_778, "109M"), (7e9, "7B"), (5_000_000_000_000, "5,000B")],
)
def test_count(value: float | None, text: str) -> None:
    assert formatting.count(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0 B"), (310_000, "310 kB"), (1_190_000, "1.19 MB"), (78e9, "78 GB")]
)
def test_size(value: float, text: str) -> None:
    assert formatting.size(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.042, "0.04 s"), (8.41, "8.4 s"), (59.94, "59.9 s"), (59.96, "1 min 00 s")]
    + [(125, "2 min 05 s"), (3599.7, "1 h 00 min"), (7384, "2 h 03 min"), (None, "–")],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


def test_on_what_a_time_rests() -> None:
    assert formatting.timed(1, None) == "by 1 timing of the device"
    assert formatting.timed(5, [1.98, 125.0]) == "2.0 s to 2 min 05 s by 5 timings of the device"


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(75_653, 22_788_869, "0.33%"), (1, 1, "100%"), (997, 1000, "99.7%"), (0, 10, "0%")]
    + [(1, 10**9, "<0.01%"), (None, 10, "–"), (1, 0, "–")],
)
def test_share(part: int | None, whole: int, text: str) -> None:
    assert formatting.share(part, whole) == text


def test_scores_and_differences() -> None:
    assert formatting.score(0.9571, (0.9518, 0.9613), 3) == "0.957 [0.952, 0.961] (3)"
    assert formatting.score(0.9571, None, 1) == "0.957 (1)"
    assert formatting.score(None) == formatting.difference(None) == "–"
    assert formatting.difference(-0.0041, 0.006) == "-0.004 ± 0.006"
    assert formatting.difference(-0.0001) == "+0.000"


def test_scores_that_are_no_shares_have_four_digits() -> None:
    assert formatting.score(26.913, (26.8, 27.04), 3) == "26.91 [26.80, 27.04] (3)"
    assert formatting.score(312.44) == "312.4"
    assert formatting.score(104_232.3, (103_421.1, 105_043.5)) == "104,232 [103,421, 105,044]"
    assert formatting.score(0.95, (-11.75, 13.65)) == "0.95 [-11.75, 13.65]"
    assert formatting.difference(-7.314, 12.4) == "-7.31 ± 12.40"
    assert formatting.difference(-0.001, 123.4) == "+0.0 ± 123.4"


def test_a_long_name_loses_its_middle() -> None:
    assert formatting.shortened("lora", 10) == "lora"
    assert formatting.shortened("lora-r16-with-dropout-a", 11) == "lora-…out-a"


def test_ratios_have_the_decimals_that_tell_them_from_1_and_from_each_other() -> None:
    assert formatting.ratios(1.16, 1.04, 1.29) == ["1.16", "1.04", "1.29"]
    assert formatting.ratios(0.997, 0.9951, 0.9993) == ["0.997", "0.995", "0.999"]
    assert formatting.ratios(1.0, 1.0) == ["1.00", "1.00"]
    assert formatting.ratios(1250.2) == ["1,250.20"]
