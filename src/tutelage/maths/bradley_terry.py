"""Qualities behind comparisons: a Gaussian belief under the Bradley-Terry model, for many pools at once.

``P(i beats j) = σ(θ_i − θ_j)`` (Bradley and Terry, 1952), ``θ ~ N(0, spread²)`` in logits. Every comparison is taken in
by matching the first two moments of the posterior (assumed density filtering, as in TrueSkill but with the whole
covariance) [I]: one rank-one step, so nothing is inverted and nothing iterates. The order of comparisons moves means a
little where they contradict each other. Every pool is computed for itself, so how many stand side by side changes no
bit. P pools, K candidates.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.hermite_e import hermegauss
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Indices = NDArray[np.int64]

_NODES, _raw = hermegauss(12)
_WEIGHTS = _raw / _raw.sum()


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is known about the qualities of the candidates of P pools, in logits."""

    mean: Numbers
    """Shape ``(P, K)``."""
    covariance: Numbers
    """Shape ``(P, K, K)``."""

    @classmethod
    def prior(cls, pools: int, num: int, spread: float) -> "Belief":
        """Nothing known but the ``spread`` of qualities within a pool, a standard deviation in logits."""
        covariance = np.broadcast_to(np.eye(num) * spread**2, (pools, num, num)).copy()
        return cls(np.zeros((pools, num)), covariance)

    def after(self, pairs: Indices, points: Numbers) -> "Belief":
        """The belief after some comparisons, taken in one after the other.

        Args:
            pairs: Who met whom, shape ``(P, n, 2)``; -1 for nobody.
            points: What the first got of each, in ``[0, 1]``, shape ``(P, n)``; NaN for no verdict. A tie is 0.5: as
                likely as a win and a loss of half the weight.
        """
        mean, covariance = self.mean.copy(), self.covariance.copy()
        for column in range(pairs.shape[1]):
            rows = np.flatnonzero((pairs[:, column, 0] >= 0) & ~np.isnan(points[:, column]))
            first, second = pairs[rows, column, 0], pairs[rows, column, 1]
            along = covariance[rows, first] - covariance[rows, second]  # covariance of all with the difference
            own = np.arange(len(rows))
            variance = along[own, first] - along[own, second]
            centre = mean[rows, first] - mean[rows, second]
            shifted, shrunk = _moments(centre, variance, points[rows, column])
            mean[rows] += along * ((shifted - centre) / variance)[:, None]
            step = along * ((1.0 - shrunk / variance) / variance)[:, None]
            everywhere = slice(None) if len(rows) == len(mean) else rows  # a slice is changed in place, rows by copies
            covariance[everywhere] -= step[:, :, None] * along[:, None, :]
        return Belief(mean, covariance)

    def win_rates(self) -> Numbers:
        """Estimated win rate of every candidate against all others of its pool, shape ``(P, K)``.

        ``mean over j of σ((m_i − m_j) / √(1 + π v / 8))`` with ``v`` the mean variance of a difference in the pool: one
        ``v`` for all, so that the order is that of the means: they are shrunk already where little is known [I].
        """
        num = self.mean.shape[1]
        trace = self.covariance.trace(axis1=1, axis2=2)
        variance = 2.0 * (trace - self.covariance.sum((1, 2)) / num) / max(num - 1, 1)
        scale = 1.0 / np.sqrt(1.0 + np.pi / 8.0 * variance)
        leads = (self.mean[:, :, None] - self.mean[:, None, :]) * scale[:, None, None]
        # The candidate's own 0.5 is taken out again.
        return (0.5 * (1.0 + np.tanh(0.5 * leads)).sum(2) - 0.5) / max(num - 1, 1)

    def improvements(self, end: int) -> tuple[Indices, Numbers]:
        """Who leads at one end, and by how much each other one may be expected to surpass it.

        ``E[(θ_c − θ_leader)⁺]`` under the belief, in logits: 0 where there is nothing left to find out.

        Args:
            end: 1 for the best, -1 for the worst.

        Returns:
            The leader of every pool, shape ``(P,)``; improvements, shape ``(P, K)``, -inf at the leader itself.
        """
        rows, mean = np.arange(len(self.mean)), self.mean * end
        leader = mean.argmax(1)
        own = self.covariance.diagonal(axis1=1, axis2=2)
        variance = own[rows, leader][:, None] + own - 2.0 * self.covariance[rows, leader]
        deviation = np.sqrt(np.maximum(variance, 1e-12))
        behind = (mean - mean[rows, leader][:, None]) / deviation
        gain = deviation * _expected_excess(behind)
        gain[rows, leader] = -np.inf
        return leader, gain


def _moments(centre: Numbers, variance: Numbers, points: Numbers) -> tuple[Numbers, Numbers]:
    """Mean and variance of a difference after a comparison, by Gauss-Hermite quadrature, all of shape ``(n,)``."""
    nodes = centre[:, None] + np.sqrt(variance)[:, None] * _NODES
    # log σ(x) = -log(1 + e^-x), and log σ(-x) is x less.
    logs = -np.logaddexp(0.0, -nodes) - (1.0 - points)[:, None] * nodes
    mass = _WEIGHTS * np.exp(logs)
    mass /= mass.sum(1, keepdims=True)
    mean = (mass * nodes).sum(1)
    return mean, (mass * (nodes - mean[:, None]) ** 2).sum(1)


def _expected_excess(behind: Numbers) -> Numbers:
    """``E[(Z + behind)⁺]`` for a standard normal Z: ``φ(b) + b Φ(b)``."""
    return np.maximum(np.exp(-0.5 * behind**2) / np.sqrt(2.0 * np.pi) + behind * _normal_cdf(behind), 0.0)


def _normal_cdf(value: Numbers) -> Numbers:
    """Φ by Abramowitz and Stegun 26.2.17; off by less than 1e-7."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(value))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail: Any = np.exp(-0.5 * value**2) / np.sqrt(2.0 * np.pi) * series
    return np.where(value < 0.0, tail, 1.0 - tail)
