"""Clustered standard errors and their degrees of freedom: by hand, from the definition, and against statsmodels."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from tune.evaluate.clusters import cluster_spread, likeness


def test_degrees_of_freedom_of_sizes_one_one_and_two_by_hand() -> None:
    # Changes of a cluster are not alike, so M_gh = a_g a_h (n_g [g = h] - n_g n_h / 4) with a^2 = 4/3, 4/3, 2:
    # diagonal 1, 1, 2; beside it -1/3 once and sqrt(8/3) (-1/2) twice, each of them on both sides.
    # (1 + 1 + 2)^2 / (1 + 1 + 4 + 2/9 + 4 x 2/3) = 16 / (80/9) = 1.8
    spread = cluster_spread(np.array([0.0, 0.0, 1.0, -1.0]), ["a", "b", "c", "c"])

    assert spread.freedom == pytest.approx(1.8)


@pytest.mark.parametrize("alike", [False, True])
def test_clusters_of_one_size_have_one_degree_of_freedom_less_than_their_number(alike: bool) -> None:
    rng = np.random.default_rng(0)
    change = np.repeat(rng.normal(size=6), 5) if alike else rng.normal(size=30)

    assert cluster_spread(change, np.repeat(list("abcdef"), 5)).freedom == pytest.approx(5)


def test_one_large_cluster_leaves_little() -> None:
    clusters = ["large"] * 90 + [f"small {i}" for i in range(10)]
    change = np.random.default_rng(1).normal(size=100)

    assert cluster_spread(change, clusters).freedom < 2  # and not the 10 that its number promises


@given(st.integers(0, 2**32), st.lists(st.integers(1, 6), min_size=2, max_size=7), st.booleans())
@settings(max_examples=60, deadline=None)
def test_both_are_those_of_the_definition(seed: int, sizes: list[int], alike: bool) -> None:
    rng = np.random.default_rng(seed)
    member = np.repeat(np.arange(len(sizes)), sizes)
    change = rng.normal(size=member.size) + alike * rng.normal(size=len(sizes))[member]

    spread = cluster_spread(change, [str(g) for g in member])

    stderr, freedom = defined(change, member)
    assert spread.stderr == pytest.approx(stderr)
    assert spread.freedom == pytest.approx(freedom)


def defined(change: np.ndarray, member: np.ndarray) -> tuple[float, float]:
    """Bell and McCaffrey as they write it: whole matrices, a regression on a constant alone."""
    n, groups = change.size, member.max() + 1
    rest = np.eye(n) - np.ones((n, n)) / n  # I - H
    columns, variance = [], 0.0
    for g in range(groups):
        inside = member == g
        values, vectors = np.linalg.eigh(rest[np.ix_(inside, inside)])
        adjusted = vectors @ np.diag(values**-0.5) @ vectors.T @ np.ones(inside.sum()) / n
        columns.append(rest[:, inside] @ adjusted)
        variance += float(adjusted @ (change - change.mean())[inside]) ** 2
    sizes = np.bincount(member).astype(float)
    rho = likeness(change, member, sizes)
    working = np.where(member[:, None] == member[None, :], rho, 0.0)
    np.fill_diagonal(working, 1.0)
    matrix = np.stack(columns, axis=1)
    values = np.linalg.eigvalsh(matrix.T @ working @ matrix)
    return variance**0.5, float(values.sum() ** 2 / (values**2).sum())


def test_the_standard_error_of_clusters_of_one_size_is_the_one_of_statsmodels() -> None:
    rng = np.random.default_rng(2)
    member = np.repeat(np.arange(12), 5)
    change = rng.normal(size=60) + rng.normal(size=12)[member]

    fitted = sm.OLS(change, np.ones(60)).fit(cov_type="cluster", cov_kwds={"groups": member})
    assert cluster_spread(change, [str(g) for g in member]).stderr == pytest.approx(float(fitted.bse[0]))


@pytest.mark.parametrize(
    ("change", "alike"),
    [
        # between subjects 2 x 1 + 2 x 1 over 1, within 4 x 1 over 2: shared (4 - 2) / 2 = 1, of 1 + 2
        ([3, 1, 1, -1], 1 / 3),
        ([1, 1, 0, 0], 1.0),
        ([1, 0, 1, 0], 0.0),
        ([0, 0, 0, 0], 0.0),
    ],
)
def test_how_alike_the_changes_of_two_subjects_are_by_hand(change: list[float], alike: float) -> None:
    found = likeness(np.array(change, dtype=float), np.array([0, 0, 1, 1]), np.array([2.0, 2.0]))

    assert found == pytest.approx(alike)
