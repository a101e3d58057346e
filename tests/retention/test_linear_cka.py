"""Linear CKA against the definition of the estimate."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from workbench.retention.program import linear_cka

NO_PASSAGE = torch.zeros(1000, 0, dtype=torch.double)


def points(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def hsic_by_definition(one: torch.Tensor, other: torch.Tensor) -> float:
    """The U-statistic of HSIC (Gretton et al. 2005): a mean over all four different examples."""
    k, h = one @ one.T, other @ other.T
    terms = [
        float(k[i, j] * (h[i, j] + h[q, r] - 2 * h[i, q]))
        for i, j, q, r in itertools.permutations(range(len(one)), 4)
    ]
    return math.fsum(terms) / len(terms)


def test_linear_cka_is_made_of_the_unbiased_estimates_of_hsic() -> None:
    one = points(7, seed=1)
    other = one @ points(5, seed=2) + 0.3 * points(7, seed=3)
    expected = hsic_by_definition(one, other) / math.sqrt(
        hsic_by_definition(one, one) * hsic_by_definition(other, other)
    )
    assert 0.1 < expected < 0.99
    assert linear_cka(one, other, NO_PASSAGE[:7])[0] == pytest.approx(expected, rel=1e-9)


def test_linear_cka_without_a_passage_is_that_of_the_tokens_left() -> None:
    one, other = points(12, seed=1), points(12, seed=2) + points(12, seed=1)
    owners = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
    whole, *without = linear_cka(one, other, torch.nn.functional.one_hot(owners).double())
    for passage, found in enumerate(without):
        left = owners != passage
        assert found == pytest.approx(
            linear_cka(one[left], other[left], NO_PASSAGE[: int(left.sum())])[0]
        )
        assert found != pytest.approx(whole, rel=1e-3)


def test_linear_cka_is_blind_to_rotation_scale_and_shift_and_sees_no_likeness_in_noise() -> None:
    states = torch.randn(200, 40, dtype=torch.double)
    rotation, _ = torch.linalg.qr(torch.randn(40, 40, dtype=torch.double))
    turned = 3 * states @ rotation + 5
    assert linear_cka(states, turned, NO_PASSAGE[:200])[0] == pytest.approx(1, abs=1e-9)
    noise = [torch.randn(60, 300, dtype=torch.double) for _ in range(2)]
    assert abs(linear_cka(*noise, NO_PASSAGE[:60])[0]) < 0.1  # the biased estimate says 0.8
