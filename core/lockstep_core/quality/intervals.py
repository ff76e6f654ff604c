"""Confidence bounds on a mean, from sufficient statistics. Standard library only.

A program reports (n, mean, standard deviation) of independent per-query values; the operator judges
them. Two kinds of values occur:

*Values in [0, 1]* (recall): Wilson's score interval, J. Am. Stat. Assoc. 22 (1927) 209-212. For
binary values it is the score interval itself. For graded values it is conservative, since of all
values in [0, 1] with mean p the binary ones have the largest variance, p(1-p). It never collapses
at p = 0 or 1. Measured one-sided error at nominal .05, true p in {.5, .8, .9, .95, .98, .99}, n in
{100, ..., 2000}: at most .061 for the lower bound and .083 for the upper (both at .98 and n <= 300,
where the binomial is lumpy).

*Differences in [-1, 1]* (paired gains): mean -+ z s/sqrt(n), floored. When (nearly) all of the n
differences are equal, s says nothing about those that were not seen. An event of probability
q = 1 - (1-confidence)^(1/n) stays unseen in n draws with probability 1-confidence (the "rule of
three", q ~ 3/n at 95 %: Hanley and Lippman-Hand, JAMA 249 (1983) 1743). At worst it has the value
-1, or +1, so the bound is never nearer to the mean than q(1+mean), or q(1-mean).

*Graded values in [0, 1] with a known spread* (`graded_interval`): the same on v -> 2v-1. It is as
narrow as the values are alike; recall@10 of an index has a standard deviation of .1 where binary
values of that mean would have .2.

*Shares of requests* (slow ones, failed ones), where bounds of a few per cent and small counts are
the rule: the exact interval of Clopper and Pearson, Biometrika 26 (1934) 404-413. Each of its
bounds errs with probability at most 1-confidence, whatever the share and n.
"""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, sqrt
from statistics import NormalDist

from lockstep_core.protocol.result import SampleStatistics


def mean_interval(
    stats: SampleStatistics, confidence: float, *, bounded01: bool
) -> tuple[float, float]:
    """Lower and upper bound of the mean, each one-sided at `confidence` (in [0.5, 1)).

    `bounded01`: the values lie in [0, 1]; otherwise they are differences in [-1, 1]. Without data
    the bounds are the whole range. Raises ValueError for another confidence.
    """
    if not 0.5 <= confidence < 1:
        raise ValueError(f"confidence must be at least 0.5 and below 1, not {confidence}")
    if stats.n == 0:
        return (0.0, 1.0) if bounded01 else (-1.0, 1.0)
    return _wilson(stats, confidence) if bounded01 else _floored_normal(stats, confidence)


def graded_interval(stats: SampleStatistics, confidence: float) -> tuple[float, float]:
    """As `mean_interval`, of values in [0, 1], and as wide as their standard deviation says."""
    if stats.n == 0:
        return 0.0, 1.0
    doubled = SampleStatistics(
        n=stats.n,
        mean=2 * stats.mean - 1,
        standard_deviation=min(2.0, 2 * stats.standard_deviation),
    )
    lower, upper = mean_interval(doubled, confidence, bounded01=False)
    return (lower + 1) / 2, (upper + 1) / 2


def _wilson(stats: SampleStatistics, confidence: float) -> tuple[float, float]:
    n, p = stats.n, min(1.0, max(0.0, stats.mean))
    z2 = NormalDist().inv_cdf(confidence) ** 2
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = sqrt(z2 * (p * (1 - p) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def _floored_normal(stats: SampleStatistics, confidence: float) -> tuple[float, float]:
    n, mean = stats.n, stats.mean
    half = NormalDist().inv_cdf(confidence) * stats.standard_deviation / sqrt(n)
    unseen = 1 - (1 - confidence) ** (1 / n)
    lower = mean - max(half, unseen * (1 + mean))
    upper = mean + max(half, unseen * (1 - mean))
    return max(-1.0, lower), min(1.0, upper)


@lru_cache(maxsize=4096)
def share_interval(events: int, n: int, confidence: float) -> tuple[float, float]:
    """Exact bounds of a probability, each one-sided at `confidence`, from `events` of `n` trials.

    Without trials they are (0, 1). Raises ValueError unless 0 <= events <= n.
    """
    if not 0 <= events <= n:
        raise ValueError(f"{events} events of {n} trials")
    lower = _beta_quantile(1 - confidence, events, n - events + 1) if events else 0.0
    upper = _beta_quantile(confidence, events + 1, n - events) if events < n else 1.0
    return lower, upper


def _beta_quantile(probability: float, a: int, b: int) -> float:
    """Where the beta distribution of a and b reaches `probability`, by bisection."""
    low, high = 0.0, 1.0
    # Relative, since a bound may be tiny: one error in ten million requests.
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        if _beta_cdf(middle, a, b) < probability:
            low = middle
        else:
            high = middle
    return high


def _beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), for 0 < x < 1 and a, b >= 1.

    DLMF 8.17.22: a continued fraction, evaluated by the modified method of Lentz; it converges in
    O(sqrt(max(a, b))) terms below the mean, and above it by the symmetry 8.17.4.
    """
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_cdf(1 - x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(1 - x)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction, term, m = d, 0.0, 0
    while abs(term - 1) > 1e-12:
        m += 1
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d, c = 1 / (1 + even * d), 1 + even / c
        fraction *= d * c
        d, c = 1 / (1 + odd * d), 1 + odd / c
        term = d * c
        fraction *= term
    return front * fraction
