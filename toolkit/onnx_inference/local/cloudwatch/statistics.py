"""CloudWatch's statistics: they make one number of the values of a period."""

import math
import re
from collections.abc import Sequence

_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d+)?|100)")
_SIMPLE = ("Sum", "Average", "Minimum", "Maximum", "SampleCount")


def is_known(statistic: str) -> bool:
    """Whether `of` can compute it."""
    return statistic in _SIMPLE or _PERCENTILE.fullmatch(statistic) is not None


def of(statistic: str, values: Sequence[float]) -> float:
    """One statistic of at least one value.

    Percentiles are interpolated linearly between the two nearest values. CloudWatch does not document how it does it.

    Args:
        statistic: `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile like `p99`.
        values: In any order.

    Raises:
        ValueError: The statistic is not one of these.
    """
    if statistic == "Sum":
        return math.fsum(values)
    if statistic == "Average":
        return math.fsum(values) / len(values)
    if statistic == "Minimum":
        return min(values)
    if statistic == "Maximum":
        return max(values)
    if statistic == "SampleCount":
        return float(len(values))
    found = _PERCENTILE.fullmatch(statistic)
    if found is None:
        raise ValueError(f"the statistic {statistic} is not computed here")
    ordered = sorted(values)
    place = float(found[1]) / 100 * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
