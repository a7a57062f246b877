"""The report of a load: its figures, the geometry of its pictures, and the page in a browser."""

import html.parser
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from onnx_inference.local import (
    BusySpan,
    EnvironmentRecord,
    InvocationRecord,
    LoadPlan,
    LoadRequest,
    LoadResult,
    LoadSummary,
    Sample,
    Throttle,
    write_report,
)
from onnx_inference.local.load.charts import latency_chart, shown_samples, timeline_chart
from onnx_inference.local.load.report_page import report_page
from onnx_inference.local.load.request_body import inference_request, model_of
from onnx_inference.local.load.summary import percentile
from onnx_inference.local.load.timeline import timeline_rows, window_of
from onnx_inference.local.pages.chart import NARROW, WIDE
from onnx_inference.local.pages.scales import LinearScale, LogScale
from tests.support.chromium import CHROMIUM, opened

START = datetime(2027, 3, 1, 8, 0, tzinfo=UTC)


def at(seconds):
    return START + timedelta(seconds=seconds)


def invocation(*, cold=False, queued_ms=0.0, spillover=False):
    return InvocationRecord(
        request_id="r",
        invoked_function_arn="arn",
        function_name="f",
        function_version="1",
        started_at=START,
        cold_start=cold,
        init_duration_ms=900.0 if cold else None,
        duration_ms=5.0,
        queued_ms=queued_ms,
        memory_size_mb=512,
        max_memory_used_mb=100,
        status="success",
        error_type=None,
        log_stream="2027/03/01/[1]" + "a" * 32,
        kind="request",
        spillover=spillover,
    )


def environment(number, created, busy, **changes):
    record = EnvironmentRecord(
        id=f"{number:032x}",
        function_name="f",
        function_version="1",
        log_stream=f"2027/03/01/[1]{number:032x}",
        initialization_type="on-demand",
        provisioned_for=None,
        created_at=at(created),
        init_duration_ms=1000.0,
        ready_at=at(created + 1),
        busy=tuple(busy),
    )
    return replace(record, **changes)


def span(start, end, *, kind="request", cold=False, status="success"):
    return BusySpan("r", kind, cold, at(start), at(end), (end - start) * 1000, status)


@pytest.fixture
def result():
    """Ten seconds of load: one provisioned environment, one on demand that ends, one restored, a ping, an error."""
    environments = (
        environment(
            1,
            -100,
            [span(1, 2), span(4, 5, kind="ping"), span(8, 9.5)],
            initialization_type="provisioned-concurrency",
            provisioned_for="live",
        ),
        environment(2, 1, [span(2, 4, cold=True)], ended_at=at(6), end_cause="timeout"),
        environment(
            3,
            0.5,
            [span(7, 8, cold=True)],
            initialization_type="snap-start",
            restore_started_at=at(6.5),
            restore_duration_ms=500.0,
            ready_at=at(7),
        ),
    )
    samples = [Sample(number, at(number / 10), 5.0 + number % 7, 200, "", invocation()) for number in range(100)]
    samples[10] = replace(samples[10], latency_ms=1200.0, invocation=invocation(cold=True, spillover=True))
    samples[65] = replace(samples[65], latency_ms=505.0, invocation=invocation(cold=True))
    samples[20] = replace(samples[20], latency_ms=300.0, invocation=invocation(queued_ms=290.0))
    samples[30] = replace(samples[30], latency_ms=3.0, status=429, invocation=None)
    samples[31] = replace(samples[31], status=0, error="<timed out & gone>", invocation=None)
    return LoadResult(
        plan=LoadPlan(10, 10),
        request=LoadRequest("v2/models/<digits>/infer"),
        url="http://127.0.0.1:1/",
        functions=("f",),
        speed=1.0,
        started_at=START,
        ended_at=at(10),
        seconds=10.0,
        samples=tuple(samples),
        environments=environments,
        throttles=(Throttle("f", at(3)),),
        late=2,
    )


def test_the_figures_are_those_of_the_records(result):
    summary = LoadSummary.of(result)
    assert (summary.requests, summary.answered, summary.failures) == (100, 98, {429: 1, 0: 1})
    assert summary.rate == pytest.approx(9.8)
    assert (summary.cold.count, summary.cold.p50, summary.cold.longest) == (2, 505.0, 1200.0)
    assert (summary.waited.count, summary.waited.p50) == (1, 300.0)
    assert (summary.warm.count, summary.warm.p50, summary.warm.longest) == (95, 8.0, 11.0)
    assert (summary.spillovers, summary.throttles, summary.pings, summary.provisioned) == (1, 1, 1, 1)
    # At 2 to 4 s only the second is busy; the first ends where it begins.
    assert (summary.peak_environments, summary.peak_busy) == (2, 1)


def test_percentiles_are_values_that_were_measured():
    values = [float(n) for n in range(1, 201)]
    assert [percentile(values, rank) for rank in (50, 90, 99, 100)] == [100.0, 180.0, 198.0, 200.0]
    assert percentile([7.0], 99) == 7.0
    assert percentile([], 50) is None


def test_scales_map_their_ends_to_the_ends():
    linear = LinearScale(0, 60, 100, 1000)
    assert [linear(0), linear(30), linear(60), linear(61), linear(-1)] == [100, 550, 1000, 1000, 100]
    assert linear.ticks(10) == [0, 10, 20, 30, 40, 50, 60]
    assert LinearScale(-12, 60, 0, 1).ticks(4) == [0, 20, 40, 60]
    assert LinearScale(5, 5, 0, 1).ticks(4) == [5]
    log = LogScale(1, 1000, 300, 0)
    assert [round(log(v)) for v in (1, 10, 100, 1000, 0.1)] == [300, 200, 100, 0, 300]
    assert log.ticks() == [1, 10, 100, 1000]
    around = LogScale.around([3.2, 480.0], 300, 0)
    assert (around.low, around.high) == (2, 500)
    assert LogScale.around([], 300, 0).ticks() == [1, 10, 100, 1000]


@pytest.mark.parametrize("count", range(1, 12))
def test_there_are_never_more_ticks_than_asked_for(count):
    for high in (0.013, 1, 7, 59, 61, 3601, 90_000):
        assert 1 <= len(LinearScale(0, high, 0, 1).ticks(count)) <= count + 1


def test_the_timeline_puts_each_span_at_its_time(result):
    window = window_of(result.environments, result.started_at, result.ended_at)
    # What lies more than a fifth of the load before it is cut off.
    assert (window.start, window.end) == (at(-2), at(10))
    rows = timeline_rows(result.environments, window, window.scale(0, 1200))
    assert [row.record.id[-1] for row in rows] == ["1", "3", "2"]
    provisioned, restored, on_demand = rows
    bars = {row: [(bar.kind, bar.x, bar.width) for bar in row.bars if bar.kind != "idle"] for row in rows}
    assert bars[provisioned] == [("busy", 300, 100), ("ping", 600, 100), ("busy", 1000, 150)]
    assert bars[on_demand] == [("init", 300, 100), ("busy", 400, 200)]
    assert bars[restored] == [("waiting", 250, 600), ("restore", 850, 50), ("busy", 900, 100)]
    idle = [(bar.x, bar.x + bar.width) for bar in on_demand.bars if bar.kind == "idle"]
    assert idle == [(600, 800)]
    assert (on_demand.ended_x, provisioned.ended_x) == (800, None)
    assert (on_demand.cold_xs, restored.cold_xs, provisioned.cold_xs) == ((400,), (900,), ())


def test_what_is_too_short_to_see_is_drawn_and_what_touches_is_one(result):
    many = [span(1 + n / 1000, 1 + n / 1000 + 0.0005) for n in range(500)]
    window = window_of(result.environments, START, at(10))
    (row,) = timeline_rows([environment(1, 0, many)], window, window.scale(0, 1000))
    (busy,) = [bar for bar in row.bars if bar.kind == "busy"]
    assert busy.title == "500 requests"
    assert busy.width == pytest.approx(0.5 / 12 * 1000, abs=2)
    (row,) = timeline_rows([environment(1, 0, [span(9.99999, 10)])], window, window.scale(0, 1000))
    last = next(bar for bar in row.bars if bar.kind == "busy")
    assert (last.width, last.x + last.width) == (1.5, 1000)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_everything_is_drawn_inside_the_picture(result, width):
    for chart in (latency_chart(result, width), timeline_chart(result, width)):
        root = ET.fromstring(chart)
        height = float(root.get("height"))
        for node in root.iter():
            for name in ("x", "x1", "x2", "cx"):
                assert 0 <= float(node.get(name, 0)) <= width
            for name in ("y", "y1", "y2", "cy"):
                assert 0 <= float(node.get(name, 0)) <= height
            if node.tag.endswith("rect"):
                assert float(node.get("x")) + float(node.get("width")) <= width


def test_latency_is_drawn_where_it_is(result):
    root = ET.fromstring(latency_chart(result, WIDE))
    kinds = [node.get("class").split()[-1] for node in root.iter() if "dot" in node.get("class", "")]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "warm-dot": 95,
        "cold-dot": 2,
        "waited-dot": 1,
        "failed-dot": 2,
    }
    circles = [node for node in root.iter() if node.tag.endswith("circle")]
    places = [(float(c.get("cx")), float(c.get("cy")), c[0].text) for c in circles if "warm-dot" in c.get("class")]
    assert [x for x, _, _ in places] == sorted(x for x, _, _ in places)
    cold = [node[0].text for node in root.iter() if "cold-dot" in node.get("class", "")]
    assert cold == ["1.20 s, status 200, cold start", "505 ms, status 200, cold start"]
    slow = min(y for _, y, title in places if title.startswith("11.0 ms"))
    fast = max(y for _, y, title in places if title.startswith("5.0 ms"))
    assert slow < fast


def test_many_requests_are_thinned_but_no_cold_one(result):
    samples = [replace(result.samples[0], number=n, at=at(n / 1000)) for n in range(9_000)]
    samples[7] = replace(samples[7], invocation=invocation(cold=True))
    shown = shown_samples(samples)
    assert len(shown) <= 2_001
    assert samples[7] in shown
    page = report_page(replace(result, samples=tuple(samples)))
    assert f"{len(shown)} of 9000 are drawn" in page
    assert len(page) < 2_500_000


class Page(html.parser.HTMLParser):
    """The elements of a page, and whether each that was opened is closed."""

    VOID = ("meta", "link", "br", "line", "rect", "circle", "path")

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in self.VOID or (tag != "meta" and tag != "link" and not self.get_starttag_text().endswith("/>")):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_needs_nothing_else_and_says_what_was_measured(result):
    text = report_page(result)
    page = Page(text)
    assert page.open == []
    assert "script" not in {tag for tag, _ in page.elements}
    outside = [v for _, a in page.elements for k, v in a.items() if k in ("src", "href") and not v.startswith("data:")]
    assert outside == []
    assert not re.search(r"url\(|@import", text)
    assert set(re.findall(r"https?://[^\s\"'<]+", text)) == {"http://www.w3.org/2000/svg"}
    words = " ".join(page.text)
    for expected in (
        "98",
        "answered of 100",
        "cold starts, 2.0 % of requests",
        "1 with 429",
        "1 with no answer",
        "2 of 100 requests left more than 0.1 s late",
        "<timed out & gone>",
        "/v2/models/<digits>/infer",
        "ended: timeout",
        "this machine's time, not Lambda's",
        "A restore here needs a process",
        "1 requests spilled over",
    ):
        assert expected in words
    assert len([1 for tag, _ in page.elements if tag == "tr"]) == 4 + 4 + 101


def test_the_files_and_the_timeline_on_its_own(result, tmp_path):
    page, picture = write_report(result, tmp_path / "load.html")
    assert (page.name, picture.name) == ("load.html", "load.timeline.svg")
    root = ET.fromstring(picture.read_text())
    style = next(node for node in root.iter() if node.tag.endswith("style")).text
    assert "prefers-color-scheme: dark" in style
    words = " ".join(node.text or "" for node in root.iter())
    assert "1 · provisioned" in words
    assert "restore from a snapshot" in words


def test_a_load_that_came_to_nothing_has_a_report_too(result, tmp_path):
    empty = replace(result, samples=(), environments=(), throttles=(), late=0, speed=3600.0)
    text = report_page(empty)
    assert "the clock ran 3600 times as fast" in text
    assert LoadSummary.of(empty).warm.p50 is None
    assert Page(text).open == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here; the page is checked by parsing it above")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_browser_shows_it_without_errors_and_without_overflow(result, tmp_path, width):
    """Chromium measures the page in a frame of the width; anything wider than the frame would scroll sideways."""
    write_report(result, tmp_path / "load.html")
    probe = tmp_path / "probe.html"
    probe.write_text(
        f"""<!doctype html><body style="margin:0"><iframe id="f" src="load.html" style="width:{width}px;height:900px">
        </iframe><script>
        f.onload = () => {{
          const d = f.contentDocument, all = [...d.querySelectorAll("main, section, .card, h1, section > div > svg")];
          const shown = all.filter(e => e.getClientRects().length);
          const found = {{
            inner: d.documentElement.clientWidth, scroll: d.documentElement.scrollWidth,
            right: Math.max(...shown.map(e => e.getBoundingClientRect().right)),
            pictures: shown.filter(e => e.tagName == "svg").length,
            label: Math.min(...[...d.querySelectorAll("svg text")].filter(e => e.getClientRects().length)
              .map(e => e.getBoundingClientRect().height)),
          }};
          document.title = JSON.stringify(found);
        }};
        </script></body>"""
    )
    done = opened(probe, tmp_path / "profile")
    assert "CONSOLE" not in done.stderr
    found = json.loads(html.unescape(re.search(r"<title>(.*?)</title>", done.stdout)[1]))
    assert found["scroll"] <= found["inner"] <= width
    assert found["right"] <= found["inner"]
    assert found["pictures"] == 2
    # Text is not shrunk with the picture.
    assert found["label"] >= 11


def test_a_request_is_made_of_what_the_model_says():
    metadata = {
        "inputs": [
            {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "text", "datatype": "BYTES", "shape": [1]},
        ]
    }
    request = inference_request("a b", metadata)
    length = int(request.headers["Inference-Header-Content-Length"])
    header = json.loads(request.body[:length])
    assert request.path == "v2/models/a%20b/infer"
    assert [(i["shape"], i["parameters"]["binary_data_size"]) for i in header["inputs"]] == [([1, 3], 12), ([1], 4)]
    assert request.body[length:] == bytes(16)
    with pytest.raises(ValueError, match="--body"):
        inference_request("m", {"inputs": [{"name": "x", "datatype": "COMPLEX", "shape": [1]}]})


def test_the_model_is_found_in_the_functions_variables():
    assert model_of({"MODEL_NAME": "digits"}) == "digits"
    assert model_of({"MODELS": '[{"name": "one"}, {"name": "two"}]'}) == "one"
    assert model_of({}) is None
    assert model_of({"MODELS": "?"}) is None
