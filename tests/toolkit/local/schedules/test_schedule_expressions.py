"""AWS's schedule expressions: what they mean, across changes of daylight saving time, and what AWS refuses."""

import calendar
import itertools
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onnx_inference.local.schedules.cron import CronExpression, ExpressionError
from onnx_inference.local.schedules.expression import ScheduleExpression, moment_of

MONDAY = datetime(2027, 3, 1, 12, 0, tzinfo=UTC)


def due(text, *, after=MONDAY, count=3, zone="UTC", **options):
    """The next times at which an expression is due."""
    expression = ScheduleExpression.parse(text, timezone=zone, anchor=after.timestamp(), **options)
    moment, found = after.timestamp() - 1e-3, []
    while len(found) < count:
        moment = expression.next_after(moment)
        if moment is None:
            break
        found.append(datetime.fromtimestamp(moment, UTC))
    return found


def texts(moments, zone="UTC"):
    return [moment.astimezone(ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M") for moment in moments]


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 10 * * ? *", ["Tue 2027-03-02 10:00", "Wed 2027-03-03 10:00"]),
        ("15 12 * * ? *", ["Mon 2027-03-01 12:15", "Tue 2027-03-02 12:15"]),
        ("0 18 ? * MON-FRI *", ["Mon 2027-03-01 18:00", "Tue 2027-03-02 18:00"]),
        ("0 8 1 * ? *", ["Thu 2027-04-01 08:00", "Sat 2027-05-01 08:00"]),
        ("0/15 * * * ? *", ["Mon 2027-03-01 12:00", "Mon 2027-03-01 12:15"]),
        ("0/10 * ? * 2 *", ["Mon 2027-03-01 12:00", "Mon 2027-03-01 12:10"]),
        ("0/5 8-17 ? * MON-FRI *", ["Mon 2027-03-01 12:00", "Mon 2027-03-01 12:05"]),
        ("0 9 ? * 2#1 *", ["Mon 2027-04-05 09:00", "Mon 2027-05-03 09:00"]),
        ("0 9 ? * FRI#5 *", ["Fri 2027-04-30 09:00", "Fri 2027-07-30 09:00"]),
        ("0 0 L * ? *", ["Wed 2027-03-31 00:00", "Fri 2027-04-30 00:00"]),
        ("0 0 ? * L *", ["Sat 2027-03-06 00:00", "Sat 2027-03-13 00:00"]),
        ("0 18 ? * 6L *", ["Fri 2027-03-26 18:00", "Fri 2027-04-30 18:00"]),
        ("0 6 1W * ? *", ["Thu 2027-04-01 06:00", "Mon 2027-05-03 06:00"]),
        ("0 6 31W * ? *", ["Wed 2027-03-31 06:00", "Mon 2027-05-31 06:00"]),
        ("0 0 29 2 ? *", ["Tue 2028-02-29 00:00", "Sun 2032-02-29 00:00"]),
        ("0 0 1 JAN,JUL ? 2028-2029", ["Sat 2028-01-01 00:00", "Sat 2028-07-01 00:00"]),
        ("5,35 14 * * ? 2027", ["Mon 2027-03-01 14:05", "Mon 2027-03-01 14:35"]),
    ],
)
def test_what_cron_expressions_name(cron, expected):
    assert texts(due(f"cron({cron})", count=2)) == expected


def test_an_expression_comes_to_its_end():
    assert due("cron(0 0 1 1 ? 2020)") == []
    assert len(due("cron(0 0 1 1 ? 2028)")) == 1
    assert due("at(2027-03-01T11:00:00)") == []
    assert texts(due("at(2027-03-02T08:00:00)", zone="Europe/Berlin")) == ["Tue 2027-03-02 07:00"]


def test_a_rate_counts_from_its_start():
    """Scheduler fires at once, a rule one period after it was made; both count on from there."""
    assert texts(due("rate(5 minutes)", count=2)) == ["Mon 2027-03-01 12:00", "Mon 2027-03-01 12:05"]
    assert texts(due("rate(1 day)", anchor_is_due=False, count=2)) == ["Tue 2027-03-02 12:00", "Wed 2027-03-03 12:00"]
    started = ScheduleExpression.parse("rate(2 hours)", anchor=(MONDAY - timedelta(hours=5)).timestamp())
    assert datetime.fromtimestamp(started.next_after(MONDAY.timestamp()), UTC) == MONDAY + timedelta(hours=1)


def test_nothing_is_due_before_the_start_or_after_the_end():
    start = MONDAY + timedelta(days=2)
    expression = ScheduleExpression.parse(
        "cron(0 12 * * ? *)", anchor=start.timestamp(), end=(start + timedelta(days=1)).timestamp()
    )
    first = expression.next_after(MONDAY.timestamp())
    assert first == start.timestamp()
    second = expression.next_after(first)
    assert second == (start + timedelta(days=1)).timestamp()
    assert expression.next_after(second) is None


def test_clocks_that_go_forward_skip_a_time_and_clocks_that_go_back_do_not_repeat_one():
    """As EventBridge Scheduler documents it. A day's rate stays at 24 hours."""
    spring, autumn = datetime(2027, 3, 27, tzinfo=UTC), datetime(2027, 10, 30, tzinfo=UTC)
    berlin = "Europe/Berlin"
    assert texts(due("cron(30 2 * * ? *)", after=spring, zone=berlin), berlin) == [
        "Sat 2027-03-27 02:30",
        "Mon 2027-03-29 02:30",
        "Tue 2027-03-30 02:30",
    ]
    found = due("cron(30 2 * * ? *)", after=autumn, zone=berlin)
    assert texts(found) == ["Sat 2027-10-30 00:30", "Sun 2027-10-31 00:30", "Mon 2027-11-01 01:30"]
    morning = due("cron(0 8 * * ? *)", after=spring, zone=berlin)
    assert [b - a for a, b in itertools.pairwise(morning)] == [timedelta(hours=23), timedelta(hours=24)]
    rate = due("rate(1 days)", after=spring, zone=berlin)
    assert {b - a for a, b in itertools.pairwise(rate)} == {timedelta(hours=24)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cron(0 8 * * *)", "has 5 fields"),
        ("cron(0 8 * * * *)", "exactly one of"),
        ("cron(0 8 ? * ? *)", "exactly one of"),
        ("cron(60 8 * * ? *)", "'60' is not a number from 0 to 59"),
        ("cron(0 8 ? * 0 *)", "from 1 to 7, or SUN"),
        ("cron(0 8 ? * 2#6 *)", "2#6"),
        ("cron(0/0 8 * * ? *)", "no step"),
        ("cron(0 18-8 * * ? *)", "ends before it begins"),
        ("cron(0 8 32W * ? *)", "'32'"),
        ("rate(0 minutes)", "above 0"),
        ("rate(30 seconds)", "minutes, hours or days"),
        ("at(tomorrow)", "yyyy-mm-dd"),
        ("every day", "none of rate"),
        ("cron(0 8 * * ? *", "none of rate"),
    ],
)
def test_what_aws_refuses_is_refused_with_the_reason(text, message):
    with pytest.raises(ExpressionError, match=message.replace("(", r"\(").replace("?", r"\?")):
        ScheduleExpression.parse(text, anchor=0)


def test_an_unknown_time_zone_is_named():
    with pytest.raises(ExpressionError, match="Mars/Olympus"):
        ScheduleExpression.parse("rate(1 day)", timezone="Mars/Olympus", anchor=0)


def test_dates_of_cloudformation_and_of_the_api():
    assert moment_of("2027-03-01T12:00:00Z") == moment_of(MONDAY.timestamp()) == MONDAY.timestamp()
    assert moment_of(None) is None
    with pytest.raises(ExpressionError):
        moment_of("soon")


def numbers(low, high):
    number = st.integers(low, high)
    spans = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    steps = st.tuples(number, st.integers(1, high)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    parts = st.one_of(number.map(str), spans, steps)
    return st.one_of(st.just("*"), st.lists(parts, min_size=1, max_size=3).map(",".join))


DAYS = st.one_of(numbers(1, 31), st.just("L"), st.integers(1, 31).map(lambda day: f"{day}W"))
WEEKDAYS = st.one_of(
    numbers(1, 7),
    st.integers(1, 7).map(lambda day: f"{day}L"),
    st.tuples(st.integers(1, 7), st.integers(1, 5)).map(lambda pair: f"{pair[0]}#{pair[1]}"),
)
EXPRESSIONS = st.tuples(
    numbers(0, 59), numbers(0, 23), st.one_of(DAYS.map(lambda d: (d, "?")), WEEKDAYS.map(lambda d: ("?", d)))
).map(lambda parts: f"{parts[0]} {parts[1]} {parts[2][0]} * {parts[2][1]} *")


def names(cron, moment):
    """Whether an expression names this minute."""
    return moment.minute in cron.minutes and moment.hour in cron.hours and cron.on(moment.date())


@given(EXPRESSIONS, st.datetimes(datetime(2024, 1, 1), datetime(2040, 1, 1)))
@settings(max_examples=60, deadline=None)
def test_the_next_times_are_those_that_match_and_none_is_left_out(text, moment):
    cron = CronExpression.parse(text)
    found = list(itertools.takewhile(lambda at: at < moment + timedelta(days=2), cron.after(moment)))
    minute = moment.replace(second=0, microsecond=0) + timedelta(minutes=1)
    expected = []
    while minute < moment + timedelta(days=2):
        if names(cron, minute):
            expected.append(minute)
        minute += timedelta(minutes=1)
    assert [at for at in found if at > moment.replace(second=0, microsecond=0)] == expected


@given(st.dates(date(2024, 1, 1), date(2040, 12, 1)), st.integers(1, 31))
@settings(max_examples=100, deadline=None)
def test_a_nearest_weekday_is_a_weekday_of_the_month_at_most_two_days_away(month, wanted):
    month = month.replace(day=1)
    last = calendar.monthrange(month.year, month.month)[1]
    cron = CronExpression.parse(f"0 0 {wanted}W * ? *")
    midnight = datetime(month.year, month.month, 1)
    days = [day for day in range(1, last + 1) if cron.on(midnight.replace(day=day).date())]
    if wanted > last:
        assert days == []
        return
    (day,) = days
    assert midnight.replace(day=day).isoweekday() <= 5
    assert abs(day - wanted) <= (2 if wanted in (1, last) else 1)


@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata"]),
    st.integers(0, 23),
    st.integers(0, 59),
    st.datetimes(datetime(2024, 1, 1), datetime(2036, 1, 1), timezones=st.just(UTC)),
)
@settings(max_examples=100, deadline=None)
def test_a_daily_time_is_due_once_a_day_at_that_wall_clock_time(zone, hour, minute, moment):
    found = due(f"cron({minute} {hour} * * ? *)", after=moment, zone=zone, count=4)
    local = [at.astimezone(ZoneInfo(zone)) for at in found]
    assert all((at.hour, at.minute, at.fold) == (hour, minute, 0) for at in local)
    gaps = {(b.date() - a.date()).days for a, b in itertools.pairwise(local)}
    assert gaps <= {1, 2}
    assert list(found) == sorted(set(found))
