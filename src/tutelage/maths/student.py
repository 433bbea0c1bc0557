"""Quantiles of Student's t, so that intervals over three seeds need no further dependency."""

import math
from statistics import NormalDist


def student_quantile(probability: float, degrees: int) -> float:
    """Quantile of Student's t with a whole number of degrees of freedom.

    By bisection on the angle ``atan(t / √ν)``. The distribution is summed in closed form (Abramowitz & Stegun
    26.7.3 and 26.7.4); beyond 200 degrees its expansion around the normal quantile (26.7.5) is used, exact to
    1e-6 there.

    Args:
        probability: In ``(0.5, 1)``.
        degrees: ν, at least 1.
    """
    if degrees > 200:
        z = NormalDist().inv_cdf(probability)
        return z + (z**3 + z) / (4 * degrees) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * degrees**2)
    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_within(middle, degrees) < 2 * probability - 1 else (low, middle)
    return math.sqrt(degrees) * math.tan(low)


def _student_within(angle: float, degrees: int) -> float:
    """P(|T| ≤ √ν tan angle)."""
    cosine, odd = math.cos(angle), degrees % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(degrees // 2):
        total += term
        term *= cosine**2 * ((2 * k + 2) / (2 * k + 3) if odd else (2 * k + 1) / (2 * k + 2))
    total *= math.sin(angle)
    return 2 / math.pi * (angle + total) if odd else total
