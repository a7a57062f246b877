"""A dashboard's JSON, drawn: what is read of it, which numbers its lines have, and the page in a browser."""

import html.parser
import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from onnx_inference.local import Dashboard, write_dashboards
from onnx_inference.local.cloudwatch.observations import Metric, Observation, Observations
from onnx_inference.local.cloudwatch.query import ExpressionQuery, MetricQuery
from onnx_inference.local.dashboard.figures import figure, local_period
from onnx_inference.local.dashboard.graph import number
from onnx_inference.local.dashboard.page import dashboards_page
from onnx_inference.local.dashboard.widgets import GraphWidget, Limit, OtherWidget, Place, TextWidget, read_widgets
from tests.support.chromium import CHROMIUM, opened

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)

BODY = {
    "widgets": [
        {"type": "text", "width": 24, "height": 1, "x": 0, "y": 0, "properties": {"markdown": "## Shop & <Digits>"}},
        {
            "type": "metric",
            "width": 12,
            "height": 6,
            "x": 0,
            "y": 1,
            "properties": {
                "view": "timeSeries",
                "title": "Errors, %",
                "metrics": [
                    [{"expression": "100 * FILL(bad, 0) / all", "label": "Share"}],
                    ["Own", "Bad", "F", "f", {"id": "bad", "stat": "Sum", "yAxis": "right", "label": "Bad"}],
                    [".", "All", ".", ".", {"id": "all", "stat": "Sum", "visible": False}],
                    ["AWS/EFS", "PercentIOLimit", "FileSystemId", "fs-1", {"label": "Disk"}],
                ],
                "annotations": {"horizontal": [{"label": "Limit", "value": 60}]},
            },
        },
        {
            "type": "metric",
            "width": 12,
            "height": 6,
            "x": 12,
            "y": 1,
            "properties": {
                "title": "Phases",
                "stacked": True,
                "stat": "Average",
                "period": 60,
                "metrics": [["Own", "Predict", "F", "f"], ["...", "g", {"label": "Idle"}]],
            },
        },
        {"type": "alarm", "width": 24, "height": 3, "x": 0, "y": 7, "properties": {"title": "Alarms", "alarms": []}},
    ]
}


@pytest.fixture
def board():
    return Dashboard("Shop", read_widgets(json.dumps(BODY)))


@pytest.fixture
def observations():
    def values(name, *pairs):
        metric = Metric.of("Own", name, [("F", "f")])
        return [Observation(metric, START.timestamp() + at, value) for at, value in pairs]

    return Observations(
        [*values("All", (0, 4), (1, 4), (2.5, 2)), *values("Bad", (1.2, 3)), *values("Predict", (0.1, 20), (0.2, 40))]
    )


def test_the_widgets_are_read_with_their_shorthand(board):
    text, errors, phases, alarms = board.widgets
    assert text == TextWidget(Place(0, 0, 24, 1), "## Shop & <Digits>")
    assert isinstance(errors, GraphWidget)
    assert errors.queries["all"] == MetricQuery(Metric.of("Own", "All", [("F", "f")]), "Sum")
    assert errors.queries["unnamed0"] == ExpressionQuery("100 * FILL(bad, 0) / all")
    assert [(line.label, line.axis, line.visible) for line in errors.lines] == [
        ("Share", "left", True),
        ("Bad", "right", True),
        ("All", "left", False),
        ("Disk", "left", True),
    ]
    assert errors.limits == (Limit("Limit", 60.0),)
    assert errors.period == 300
    assert phases.queries["unnamed1"] == MetricQuery(Metric.of("Own", "Predict", [("F", "g")]), "Average")
    assert (phases.stacked, phases.period) == (True, 60)
    assert alarms == OtherWidget(Place(0, 7, 24, 3), "alarm", "Alarms")


def test_a_graph_has_its_numbers_or_the_reason_why_not(board, observations):
    begin = START.timestamp()
    errors = figure(board.widgets[1], observations, begin, begin + 3)
    assert errors.window.period == 1
    points = {drawn.line.label: dict(drawn.series.points) for drawn in errors.lines}
    assert points == {"Share": {0: 0.0, 1: 75.0, 2: 0.0}, "Bad": {1: 3.0}}
    assert dict(errors.missing) == {"Disk": "AWS/EFS PercentIOLimit is not measured here"}
    phases = figure(board.widgets[2], observations, begin, begin + 3)
    assert [dict(drawn.series.points) for drawn in phases.lines] == [{0: 30.0}]
    assert dict(phases.missing) == {"Idle": "no value in this time"}


@pytest.mark.parametrize(
    ("seconds", "theirs", "period"),
    [(20, 300, 1), (60, 300, 1), (61, 300, 2), (3600, 300, 60), (90_000, 300, 300), (3600, 30, 30)],
)
def test_periods_are_finer_than_the_dashboard_s(seconds, theirs, period):
    assert local_period(seconds, theirs) == period


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00227, "0.00227"), (12.34, "12.3"), (1234, "1234"), (30_000, "30k"), (2.5e6, "2.5M")],
)
def test_numbers_for_people(value, text):
    assert number(value) == text


class Parser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.open, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(board, observations, **options):
    return dashboards_page([board], observations, START, START + timedelta(seconds=3), **options)


def test_the_page_is_laid_out_as_the_dashboard_is_and_says_what_it_does_not_show(board, observations):
    written = page(board, observations, speed=60)
    parser = Parser()
    parser.feed(written)
    assert parser.open == []
    assert not [tag for tag, _ in parser.tags if tag == "script"]
    assert not re.search(r"(?:src|href)=\"(?!data:)", written)
    text = " ".join(parser.text)
    for words in (
        "Shop & <Digits>",
        "one value for every 1 s (on AWS this dashboard shows one for every 60 or 300 s)",
        "the clock ran 60 times as fast",
        "Share, at most 75",
        "Bad, right axis, at most 3",
        "Limit at 60",
        "Disk: AWS/EFS PercentIOLimit is not measured here",
        "Idle: no value in this time",
        "Alarms have no state here",
    ):
        assert words in text
    styles = [attributes["style"] for _, attributes in parser.tags if "style" in attributes]
    assert styles == [
        "grid-column:1/span 24;grid-row:1/span 1",
        "grid-column:1/span 12;grid-row:2/span 1",
        "grid-column:13/span 12;grid-row:2/span 1",
        "grid-column:1/span 24;grid-row:3/span 1",
    ]


def test_a_page_without_any_value_says_so(board):
    written = page(board, Observations([]))
    assert written.count("No values.") == 2
    assert "<path" not in written


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; the page is checked by parsing it above")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_it_without_overflow(board, observations, tmp_path, width):
    write_dashboards([board], observations, START, START + timedelta(seconds=3), tmp_path / "dashboard.html")
    (tmp_path / "probe.html").write_text(
        f"""<!doctype html><body style="margin:0"><iframe id="f" src="dashboard.html" style="width:{width}px;height:900px">
        </iframe><script>
        f.onload = () => {{
          const d = f.contentDocument, all = [...d.querySelectorAll("main, .widget, h1, .widget svg")];
          const shown = all.filter(e => e.getClientRects().length);
          const found = {{
            wide: d.documentElement.scrollWidth, count: shown.length,
            outside: shown.filter(e => e.getBoundingClientRect().right > {width}).length,
            pictures: [...d.querySelectorAll(".widget > div > svg")].filter(e => e.getClientRects().length).length,
          }};
          document.title = JSON.stringify(found);
          document.body.insertAdjacentHTML("beforeend", "<pre id=r>" + JSON.stringify(found) + "</pre>");
        }};
        </script>"""  # noqa: E501 - a page
    )
    done = opened(tmp_path / "probe.html", tmp_path / "profile")
    found = json.loads(re.search(r'<pre id="r">(.*?)</pre>', done.stdout)[1])
    assert found["wide"] <= width
    assert found["outside"] == 0
    assert found["pictures"] == 2
    assert found["count"] > 6
