"""Metrics of the twin's own records in CloudWatch's terms: values, statistics, metric math and alarms, in numbers."""

from datetime import UTC, datetime, timedelta

import pytest

from onnx_inference.local import EnvironmentRecord, InvocationRecord, Throttle
from onnx_inference.local.cloudwatch import metric_math, published, statistics
from onnx_inference.local.cloudwatch.alarms import Alarm, AlarmsWatched
from onnx_inference.local.cloudwatch.metric_math import NotEvaluated
from onnx_inference.local.cloudwatch.observations import Metric, Observation, Observations
from onnx_inference.local.cloudwatch.published import ApiRequest, QueueSample
from onnx_inference.local.cloudwatch.query import ExpressionQuery, MetricQuery, evaluate
from onnx_inference.local.cloudwatch.series import Series, Window
from onnx_inference.local.lambda_host.function_logs import FunctionLogs
from onnx_inference.local.lambda_host.host import UtilizationSample

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)
BEGIN = START.timestamp()
WINDOW = Window(BEGIN, 3, 10.0)
FUNCTION = "arn:aws:lambda:us-east-1:000000000000:function:f"
ALIAS = [("FunctionName", "f"), ("Resource", "f:live")]


def invocation(seconds, *, status="success", duration_ms=100.0, version="1", stream="s", **changes):
    values = {
        "request_id": "r",
        "invoked_function_arn": f"{FUNCTION}:live",
        "function_name": "f",
        "function_version": version,
        "started_at": START + timedelta(seconds=seconds),
        "cold_start": False,
        "init_duration_ms": None,
        "duration_ms": duration_ms,
        "queued_ms": 0.0,
        "memory_size_mb": 512,
        "max_memory_used_mb": 100,
        "status": status,
        "error_type": None,
        "log_stream": stream,
    }
    return InvocationRecord(**{**values, **changes})


def lambda_series(records, name, statistic, dimensions=ALIAS, environments=(), speed=1.0):
    observations = Observations(published.of_invocations(records, environments, speed))
    return dict(Series.of(observations.of(Metric.of("AWS/Lambda", name, dimensions)), statistic, WINDOW).points)


@pytest.mark.parametrize(
    ("statistic", "value"),
    [
        ("Sum", 15),
        ("Average", 3),
        ("Minimum", 1),
        ("Maximum", 5),
        ("SampleCount", 5),
        ("p0", 1),
        ("p50", 3),
        ("p90", 4.6),
        ("p99", 4.96),
        ("p100", 5),
    ],
)
def test_statistics(statistic, value):
    assert statistics.of(statistic, [5, 1, 4, 2, 3]) == pytest.approx(value)


def test_another_statistic_is_refused_by_its_name():
    with pytest.raises(ValueError, match="IQM"):
        statistics.of("IQM", [1.0])


def test_periods_are_aligned_to_multiples_since_1970():
    window = Window.around(BEGIN + 7, BEGIN + 21, 10.0)
    assert window == WINDOW
    assert [window.index(BEGIN + at) for at in (-0.1, 0, 9.9, 10, 29.9, 30)] == [None, 0, 0, 1, 2, None]


class TestOfInvocations:
    def test_counts_errors_and_durations_by_alias_and_period(self):
        records = [
            invocation(1),
            invocation(2, status="timeout", duration_ms=300.0),
            invocation(12),
            invocation(13, invoked_function_arn=f"{FUNCTION}:other"),
        ]
        assert lambda_series(records, "Invocations", "Sum") == {0: 2, 1: 1}
        assert lambda_series(records, "Errors", "Sum") == {0: 1, 1: 0}
        assert lambda_series(records, "Duration", "Average") == {0: 200, 1: 100}
        assert lambda_series(records, "Invocations", "Sum", [("FunctionName", "f")]) == {0: 2, 1: 2}

    def test_of_one_version_behind_the_alias(self):
        records = [invocation(1), invocation(2, version="2", status="error"), invocation(3, version="2")]
        of_version = [*ALIAS, ("ExecutedVersion", "2")]
        assert lambda_series(records, "Errors", "Sum", of_version) == {0: 1}
        assert lambda_series(records, "Invocations", "Sum", of_version) == {0: 2}

    def test_environments_that_run_at_once(self):
        records = [invocation(at, duration_ms=2_000.0) for at in (1, 2, 2.5)] + [invocation(15)]
        assert lambda_series(records, "ConcurrentExecutions", "Maximum") == {0: 3, 1: 1}

    def test_a_fast_clock_makes_invocations_long(self):
        records = [invocation(at, duration_ms=100.0) for at in (1, 4)]
        assert lambda_series(records, "ConcurrentExecutions", "Maximum") == {0: 1}
        assert lambda_series(records, "ConcurrentExecutions", "Maximum", speed=60) == {0: 2}

    def test_provisioned_and_spilled_over(self):
        provisioned = EnvironmentRecord("e", "f", "1", "ready", "provisioned-concurrency", "live", START)
        records = [invocation(1, stream="ready"), invocation(2, spillover=True)]
        series = [
            lambda_series(records, f"ProvisionedConcurrency{name}", "Sum", environments=[provisioned])
            for name in ("Invocations", "SpilloverInvocations")
        ]
        assert series == [{0: 1}, {0: 1}]


def test_other_sources():
    logs = FunctionLogs()
    logs.write(
        "f",
        "1",
        "s",
        None,
        '{"_aws":{"Timestamp":0,"CloudWatchMetrics":[{"Namespace":"Own","Dimensions":[["FunctionName"]],'
        '"Metrics":[{"Name":"Load","Unit":"Milliseconds"}]}]},"FunctionName":"f","Load":[3,5]}',
    )
    api = (("ApiId", "a"), ("Stage", "$default"))
    observations = Observations(
        [
            *published.of_throttles([Throttle("f", START, "live")]),
            *published.of_utilization([UtilizationSample(f"{FUNCTION}:live", BEGIN, 0.5)]),
            *published.of_requests([ApiRequest(api, BEGIN, status, 20.0) for status in (200, 404, 503)]),
            *published.of_embedded(logs.metrics()),
            *published.of_queues([QueueSample("q", BEGIN, 4, 30.0), QueueSample("q", BEGIN + 1, 0, None)]),
        ]
    )

    def values(namespace, name, dimensions):
        return [value for _, value in observations.of(Metric.of(namespace, name, dimensions))]

    assert values("AWS/Lambda", "Throttles", ALIAS) == [1]
    assert values("AWS/Lambda", "ProvisionedConcurrencyUtilization", ALIAS) == [0.5]
    assert values("AWS/ApiGateway", "Count", api) == [1, 1, 1]
    assert values("AWS/ApiGateway", "4xx", api) == [0, 1, 0]
    assert values("AWS/ApiGateway", "5XXError", api) == [0, 0, 1]
    assert values("Own", "Load", [("FunctionName", "f")]) == [3, 5]
    assert values("AWS/SQS", "ApproximateNumberOfMessagesVisible", [("QueueName", "q")]) == [4, 0]
    assert values("AWS/SQS", "ApproximateAgeOfOldestMessage", [("QueueName", "q")]) == [30, 0]


class TestMetricMath:
    def value(self, expression):
        points = {"a": {0: 1.0, 2: 3.0}, "b": {0: 4.0, 1: 8.0, 2: 0.0}, "none": {}}

        def lookup(name):
            return Series(WINDOW, points[name])

        return dict(metric_math.evaluate(expression, WINDOW, lookup).points)

    @pytest.mark.parametrize(
        ("expression", "points"),
        [
            ("100 * FILL(a, 0) / b", {0: 25.0, 1: 0.0}),  # a division by zero is no value
            ("100 * FILL(none, 0) / b", {0: 0.0, 1: 0.0}),
            ("b / PERIOD(b)", {0: 0.4, 1: 0.8, 2: 0.0}),
            ("FILL(a, 0) + FILL(b, 0)", {0: 5.0, 1: 8.0, 2: 3.0}),
            ("a + b", {0: 5.0, 2: 3.0}),
            ("-(a - 1) * 2", {0: 0.0, 2: -4.0}),
            ("1 + 2 * 3 - 4 / 2", {0: 5.0, 1: 5.0, 2: 5.0}),
            ("none", {}),
        ],
    )
    def test_values(self, expression, points):
        assert self.value(expression) == pytest.approx(points)

    @pytest.mark.parametrize(
        ("expression", "named"),
        [
            ("ANOMALY_DETECTION_BAND(a, 2)", "ANOMALY_DETECTION_BAND"),
            ("a / c", "uses c"),
            ("a ^ 2", r"'\^'"),
            ("(a", "ends too early"),
            ("FILL(a, b)", "FILL"),
            ("1 / 0", "divides by zero"),
            ("", "ends too early"),
        ],
    )
    def test_what_is_not_evaluated_is_named(self, expression, named):
        with pytest.raises(NotEvaluated, match=named):
            self.value(expression)


def test_an_expression_over_expressions():
    queries = {
        "errors": MetricQuery(Metric.of("AWS/Lambda", "Errors", ALIAS), "Sum"),
        "all": MetricQuery(Metric.of("AWS/Lambda", "Invocations", ALIAS), "Sum"),
        "share": ExpressionQuery("errors / all"),
        "percent": ExpressionQuery("100 * share"),
        "loop": ExpressionQuery("loop + 1"),
    }
    records = [invocation(1), invocation(2, status="error"), invocation(11)]
    observations = Observations(published.of_invocations(records, (), 1.0))
    assert evaluate("percent", queries, observations, WINDOW).points == {0: 50.0, 1: 0.0}
    with pytest.raises(NotEvaluated, match="uses loop"):
        evaluate("loop", queries, observations, WINDOW)


ERRORS = {
    "Namespace": "AWS/Lambda",
    "MetricName": "Errors",
    "Dimensions": [{"Name": "FunctionName", "Value": "f"}, {"Name": "Resource", "Value": "f:live"}],
    "Statistic": "Sum",
    "Period": 60,
    "EvaluationPeriods": 3,
    "DatapointsToAlarm": 2,
    "Threshold": 1,
    "ComparisonOperator": "GreaterThanOrEqualToThreshold",
}


class TestAlarms:
    METRIC = Metric.of("AWS/Lambda", "Errors", ALIAS)

    def why(self, properties, *values, now=BEGIN + 150):
        observations = Observations(Observation(self.METRIC, BEGIN + at, value) for at, value in values)
        return Alarm.of("Errors", properties).why(observations, now)

    def test_so_many_periods_of_so_many_are_beyond_the_threshold(self):
        assert self.why(ERRORS, (10, 1), (70, 0)) is None
        assert self.why(ERRORS, (10, 1), (130, 2)) == "Errors: 1, 2 (GreaterThanOrEqualToThreshold 1)"
        assert self.why(ERRORS, (10, 1), (130, 2), now=BEGIN + 190) is None

    def test_missing_values_breach_only_when_they_are_to(self):
        assert self.why(ERRORS) is None
        assert self.why({**ERRORS, "TreatMissingData": "breaching"}) is not None

    def test_metric_math(self):
        dimensions = {"Dimensions": ERRORS["Dimensions"], "Namespace": "AWS/Lambda", "MetricName": "Errors"}
        of_errors = {"Id": "m", "MetricStat": {"Metric": dimensions, "Stat": "Sum", "Period": 60}, "ReturnData": False}
        properties = {
            "Metrics": [{"Id": "double", "Expression": "2 * m"}, of_errors],
            "EvaluationPeriods": 1,
            "Threshold": 3,
            "ComparisonOperator": "GreaterThanThreshold",
        }
        assert self.why(properties, (130, 1)) is None
        assert self.why(properties, (130, 2)) == "Errors: 4 (GreaterThanThreshold 3)"

    def test_what_is_not_watched_is_named_with_the_reason(self):
        deployed = {
            "Errors": ERRORS,
            "Disk": {**ERRORS, "Namespace": "AWS/EFS", "MetricName": "PercentIOLimit"},
            "Band": {**ERRORS, "ComparisonOperator": "GreaterThanUpperThreshold"},
        }
        values = Observations([Observation(self.METRIC, BEGIN + 1, 1.0), Observation(self.METRIC, BEGIN + 61, 1.0)])
        since = []

        def observe(begin):
            since.append(begin)
            return values

        watch = AlarmsWatched(["Errors", "Disk", "Band", "Else"], deployed, observe, lambda: BEGIN + 100)
        assert watch.watched == ("Errors",)
        assert dict(watch.unwatched) == {
            "Disk": "AWS/EFS PercentIOLimit is not measured here",
            "Band": "GreaterThanUpperThreshold is not evaluated here",
            "Else": "it is no metric alarm of a deployed stack",
        }
        assert watch.in_alarm() == "Errors: 1, 1 (GreaterThanOrEqualToThreshold 1)"
        assert since == [BEGIN + 100 - 180]
