"""Event patterns and input templates."""

import json

import pytest

from onnx_inference.local.cloud.streams import PipeRecord
from onnx_inference.local.event_sources.event_pattern import UnknownPattern, matches, parse_filters, passes
from onnx_inference.local.event_sources.pipe import Pipe, UnknownPipe

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/jobs/stream/2026-01-01T00:00:00.000"
TOPIC = "arn:aws:sns:us-east-1:000000000000:told"


@pytest.mark.parametrize(
    ("pattern", "event", "expected"),
    [
        ({"a": ["x"]}, {"a": "x"}, True),
        ({"a": ["x", "y"]}, {"a": "y"}, True),
        ({"a": ["x"]}, {"a": ["z", "x"]}, True),
        ({"a": ["x"]}, {}, False),
        ({"a": [None]}, {"a": None}, True),
        ({"a": [None]}, {}, False),
        ({"a": [1]}, {"a": True}, False),
        ({"a": {"b": ["x"]}}, {"a": {"b": "x", "c": 1}}, True),
        ({"a": {"b": ["x"]}}, {"a": "x"}, False),
        ({"a": [{"prefix": "al"}]}, {"a": "alpha"}, True),
        ({"a": [{"prefix": {"equals-ignore-case": "AL"}}]}, {"a": "alpha"}, True),
        ({"a": [{"suffix": "ha"}]}, {"a": "alpha"}, True),
        ({"a": [{"wildcard": "a*h?"}]}, {"a": "alpha"}, False),
        ({"a": [{"wildcard": "a*a"}]}, {"a": "alpha"}, True),
        ({"a": [{"equals-ignore-case": "ALPHA"}]}, {"a": "alpha"}, True),
        ({"a": [{"anything-but": ["x"]}]}, {"a": "y"}, True),
        ({"a": [{"anything-but": ["x"]}]}, {}, False),
        ({"a": [{"anything-but": {"prefix": "al"}}]}, {"a": "alpha"}, False),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": 5}, True),
        ({"a": [{"numeric": [">", 0, "<=", 5]}]}, {"a": "5"}, False),
        ({"a": [{"exists": True}]}, {"a": 0}, True),
        ({"a": [{"exists": False}]}, {}, True),
        ({"a": [{"cidr": "10.0.0.0/24"}]}, {"a": "10.0.0.255"}, True),
        ({"a": ["x"], "$or": [{"b": [1]}, {"c": [2]}]}, {"a": "x", "c": 2}, True),
        ({"a": ["x"], "$or": [{"b": [1]}, {"c": [2]}]}, {"a": "x", "c": 3}, False),
    ],
)
def test_patterns(pattern, event, expected):
    (parsed,) = parse_filters({"Filters": [{"Pattern": json.dumps(pattern)}]})
    assert matches(parsed, event) is expected


@pytest.mark.parametrize(
    "pattern", ["no JSON", "[]", '{"a": "x"}', '{"a": [{"unheard-of": 1}]}', '{"$or": [{"a": 1}]}']
)
def test_what_is_not_known_is_refused_by_name(pattern):
    with pytest.raises(UnknownPattern):
        parse_filters({"Filters": [{"Pattern": pattern}]})


def test_any_of_the_filters_passes_and_none_passes_all():
    filters = parse_filters({"Filters": [{"Pattern": '{"a": [1]}'}, {"Pattern": '{"a": [2]}'}]})
    assert passes(filters, {"a": 2})
    assert not passes(filters, {"a": 3})
    assert passes((), {"a": 3})


def pipe(**properties):
    properties = {"Source": STREAM, "Target": TOPIC, **properties}
    return Pipe.from_record(PipeRecord("000000000000", "us-east-1", "p", "arn:p", True, properties))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        (None, {"id": {"S": 'a"b'}, "n": [1, 2]}),
        ('{"id": <$.id.S>}', {"id": 'a"b'}),
        ('{"text": "job <$.id.S>!"}', {"text": 'job a"b!'}),
        ('{"second": <$.n[1]>, "all": <$.n>}', {"second": 2, "all": [1, 2]}),
        ('{"none": <$.nothing>, "in": "<$.id.N>"}', {"none": "", "in": ""}),
        ('{"pipe": "<aws.pipes.pipe-name>", "at": <aws.pipes.event.ingestion-time>}', {"pipe": "p", "at": "now"}),
        ("{\"id\": <$['id'].S>}", {"id": 'a"b'}),
    ],
)
def test_input_templates(template, expected):
    payload = pipe(TargetParameters={"InputTemplate": template}).payload({"id": {"S": 'a"b'}, "n": [1, 2]}, "now")
    assert json.loads(payload) == expected


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ({"Source": "arn:aws:sqs:us-east-1:000000000000:q"}, "no table's stream"),
        ({"Target": "arn:aws:states:us-east-1:000000000000:stateMachine:m"}, "stateMachine:m is not run here"),
        ({"Enrichment": "arn:aws:lambda:us-east-1:000000000000:function:f"}, "enrichment"),
    ],
)
def test_a_pipe_that_is_not_run_says_why(properties, named):
    with pytest.raises(UnknownPipe, match=named):
        pipe(**properties)
