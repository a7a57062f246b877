"""AWS's six-field cron expressions.

The fields are those of Quartz (`?`, `L`, `W`, `#`, a year, Sunday as 1). The maintained cron packages for Python read
the five fields of Vixie cron only.
"""

import calendar
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_FIRST_YEAR, _LAST_YEAR = 1970, 2199


class ExpressionError(ValueError):
    """A schedule expression that AWS would refuse."""


@dataclass(frozen=True)
class CronExpression:
    """Minutes, hours, day of month, month, day of week and year. Weekdays count from 1, which is Sunday."""

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    years: frozenset[int]
    _on_day: Callable[[date], bool]

    @classmethod
    def parse(cls, text: str) -> "CronExpression":
        """Read the part between the parentheses of `cron(...)`.

        Raises:
            ExpressionError: AWS would refuse it.
        """
        fields = text.upper().split()
        if len(fields) != 6:
            raise ExpressionError(
                f"cron({text}) has {len(fields)} fields. AWS takes six: "
                "minutes hours day-of-month month day-of-week year."
            )
        minute, hour, day, month, weekday, year = fields
        if (day == "?") == (weekday == "?"):
            raise ExpressionError(f"cron({text}): exactly one of day-of-month and day-of-week is to be '?'.")
        return cls(
            tuple(sorted(_numbers(text, minute, 0, 59))),
            tuple(sorted(_numbers(text, hour, 0, 23))),
            frozenset(_numbers(text, month, 1, 12, _MONTHS)),
            frozenset(_numbers(text, year, _FIRST_YEAR, _LAST_YEAR)),
            _weekday_rule(text, weekday) if day == "?" else _day_rule(text, day),
        )

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The times that it names after a moment, in order; naive, in the expression's own time zone."""
        for day in _dates(moment.date(), self.months, self.years):
            if not self.on(day):
                continue
            for hour in self.hours:
                for minute in self.minutes:
                    found = datetime(day.year, day.month, day.day, hour, minute)
                    if found > moment:
                        yield found

    def on(self, day: date) -> bool:
        """Whether it names times on this day."""
        return day.month in self.months and day.year in self.years and self._on_day(day)


def _dates(first: date, months: frozenset[int], years: frozenset[int]) -> Iterator[date]:
    for year in range(first.year, _LAST_YEAR + 1):
        for month in range(1, 13) if year in years else ():
            if month not in months or (year, month) < (first.year, first.month):
                continue
            for day in range(1, calendar.monthrange(year, month)[1] + 1):
                found = date(year, month, day)
                if found >= first:
                    yield found


def _numbers(text: str, field: str, low: int, high: int, names: dict[str, int] | None = None) -> set[int]:
    """The numbers that a field names."""
    found: set[int] = set()
    for part in field.split(","):
        span, slash, step = part.partition("/")
        if slash and not (step.isdigit() and int(step) > 0):
            raise ExpressionError(f"cron({text}): {part!r} has no step that is a whole number above 0.")
        first, dash, last = span.partition("-")
        if span == "*":
            begin, end = low, high
        else:
            begin = _number(text, first, low, high, names)
            end = _number(text, last, low, high, names) if dash else (high if slash else begin)
        if end < begin:
            raise ExpressionError(f"cron({text}): {part!r} ends before it begins.")
        found.update(range(begin, end + 1, int(step) if slash else 1))
    return found


def _number(text: str, word: str, low: int, high: int, names: dict[str, int] | None) -> int:
    value = (names or {}).get(word)
    if value is None and word.isdigit():
        value = int(word)
    if value is None or not low <= value <= high:
        known = f", or {', '.join(names)}" if names else ""
        raise ExpressionError(f"cron({text}): {word!r} is not a number from {low} to {high}{known}.")
    return value


def _day_rule(text: str, field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: day.day == _last_day(day)
    nearest = re.fullmatch(r"(\d{1,2})W", field)
    if nearest:
        wanted = _number(text, nearest[1], 1, 31, None)
        return lambda day: day.day == _nearest_weekday(day, wanted)
    days = _numbers(text, field, 1, 31)
    return lambda day: day.day in days


def _weekday_rule(text: str, field: str) -> Callable[[date], bool]:
    if field == "L":
        return lambda day: _weekday(day) == _WEEKDAYS["SAT"]
    last = re.fullmatch(r"(\w+)L", field)
    if last:
        of = _number(text, last[1], 1, 7, _WEEKDAYS)
        return lambda day: _weekday(day) == of and day.day + 7 > _last_day(day)
    nth = re.fullmatch(r"(\w+)#([1-5])", field)
    if nth:
        of, number = _number(text, nth[1], 1, 7, _WEEKDAYS), int(nth[2])
        return lambda day: _weekday(day) == of and (day.day - 1) // 7 + 1 == number
    days = _numbers(text, field, 1, 7, _WEEKDAYS)
    return lambda day: _weekday(day) in days


def _weekday(day: date) -> int:
    return day.isoweekday() % 7 + 1


def _last_day(day: date) -> int:
    return calendar.monthrange(day.year, day.month)[1]


def _nearest_weekday(day: date, wanted: int) -> int | None:
    """The weekday of this month that is nearest to the wanted day; None when the month has no such day."""
    last = _last_day(day)
    if wanted > last:
        return None
    weekday = date(day.year, day.month, wanted).isoweekday()
    if weekday == 6:
        return wanted - 1 if wanted > 1 else wanted + 2
    if weekday == 7:
        return wanted + 1 if wanted < last else wanted - 2
    return wanted
