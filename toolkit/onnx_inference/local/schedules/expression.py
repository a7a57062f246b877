"""Schedule expressions: `rate(5 minutes)`, `cron(0 8 ? * MON-FRI *)`, `at(2027-01-01T00:00:00)`."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from onnx_inference.local.schedules.cron import CronExpression, ExpressionError

_SECONDS = {"minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True)
class ScheduleExpression:
    """When something is due. Moments are seconds since 1970.

    A cron expression is read in its time zone, as EventBridge Scheduler does it. A time that daylight saving time skips
    in spring is not due; a time that comes twice in autumn is due once, the first time. A rate counts elapsed time.

    Attributes:
        timezone: The time zone of a cron expression or `at`.
        anchor: The time that a rate counts from; nothing is due before it.
        anchor_is_due: Whether it may be due at the anchor, as in EventBridge Scheduler. A rule begins one period later.
        end: The last time at which it may be due.
    """

    timezone: ZoneInfo
    anchor: float
    anchor_is_due: bool
    end: float
    _every: float | None
    _cron: CronExpression | None
    _once: float | None

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        timezone: str = "UTC",
        anchor: float,
        anchor_is_due: bool = True,
        end: float = math.inf,
    ) -> "ScheduleExpression":
        """Read an expression. The arguments are the attributes.

        Raises:
            ExpressionError: AWS would refuse it, or this machine does not know the time zone.
        """
        zone = time_zone(timezone)
        kind, opening, rest = text.strip().partition("(")
        inner = rest.removesuffix(")")
        if not opening or inner == rest or kind not in ("rate", "cron", "at"):
            raise ExpressionError(f"{text!r} is none of rate(...), cron(...) and at(...).")
        every = _rate(inner) if kind == "rate" else None
        cron = CronExpression.parse(inner) if kind == "cron" else None
        once = _once(inner, zone) if kind == "at" else None
        return cls(zone, anchor, anchor_is_due, end, every, cron, once)

    def next_after(self, moment: float) -> float | None:
        """The first moment after this one at which it is due; None when there is none."""
        found = self._next(moment)
        return found if found is not None and found <= self.end else None

    def _next(self, moment: float) -> float | None:
        if self._every is not None:
            first = 0 if self.anchor_is_due else 1
            periods = max(first, math.floor((moment - self.anchor) / self._every) + 1)
            return self.anchor + periods * self._every
        # Nothing is due before the start; at the start itself it may be.
        moment = max(moment, self.anchor - 1) if self.anchor_is_due else moment
        if self._once is not None:
            return self._once if self._once > moment else None
        assert self._cron is not None
        for local in self._cron.after(datetime.fromtimestamp(moment, self.timezone).replace(tzinfo=None)):
            found = local.replace(tzinfo=self.timezone).timestamp()
            skipped = datetime.fromtimestamp(found, self.timezone).replace(tzinfo=None) != local
            if found > moment and not skipped:
                return found
        return None


def time_zone(name: str) -> ZoneInfo:
    """A time zone by its IANA name.

    Raises:
        ExpressionError: This machine does not know it.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ExpressionError(
            f"The time zone {name!r} is not known here. If AWS knows it: pip install tzdata."
        ) from None


def moment_of(value: object) -> float | None:
    """A date in seconds since 1970, from CloudFormation's text or the API's number; None for none.

    Raises:
        ExpressionError: It is not a date.
    """
    if value is None or value == "":
        return None
    if isinstance(value, int | float):
        return float(value)
    try:
        found = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    except ValueError:
        raise ExpressionError(f"{value!r} is no date.") from None
    return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()


def _rate(inner: str) -> float:
    found = re.fullmatch(r"(\d+) +(minute|hour|day)(s?)", inner.strip())
    if not found or int(found[1]) == 0:
        raise ExpressionError(f"rate({inner}): AWS takes a number above 0 and minutes, hours or days.")
    return float(int(found[1]) * _SECONDS[found[2]])


def _once(inner: str, zone: ZoneInfo) -> float:
    try:
        return datetime.strptime(inner.strip(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone).timestamp()
    except ValueError:
        raise ExpressionError(f"at({inner}): AWS takes yyyy-mm-ddThh:mm:ss.") from None
