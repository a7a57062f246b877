from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onnx_inference.doctor.checks import ALL
from onnx_inference.doctor.examination import examine
from onnx_inference.doctor.template import Template

from .corpus import BAD, DIGEST, GOOD, Resources

PLATFORMS = {DIGEST: "linux/amd64"}


def found(resources: Resources) -> list[str]:
    return [finding.code for finding in examine(Template("Shop", {"Resources": resources}, PLATFORMS))]


def numbered(corpus: dict[str, list[Resources]]) -> list[object]:
    return [
        pytest.param(code, made, id=f"{code}-{i}") for code, every in corpus.items() for i, made in enumerate(every)
    ]


@pytest.mark.parametrize(("code", "resources"), numbered(BAD))
def test_a_fault_is_found(code: str, resources: Resources) -> None:
    assert code in found(resources)


@pytest.mark.parametrize(("code", "resources"), numbered(GOOD))
def test_no_false_alarm(code: str, resources: Resources) -> None:
    assert code not in found(resources)


def test_every_check_has_both() -> None:
    codes = [check.code for check in ALL]
    assert len(set(codes)) == len(codes)
    assert sorted(codes) == sorted(BAD) == sorted(GOOD)


def test_a_finding_tells_what_to_do() -> None:
    for every in BAD.values():
        for resources in every:
            for finding in examine(Template("Shop", {"Resources": resources}, PLATFORMS)):
                assert finding.logical_id in resources
                assert finding.got
                assert finding.allowed
                assert finding.fix.endswith(".")
                assert str(finding).endswith(f"[{finding.code}]")


def test_an_image_for_whatever_machine_builds_it() -> None:
    from .corpus import ASSET, image

    def platform_findings(resources: Resources) -> list[str]:
        template = Template("Shop", {"Resources": resources}, {DIGEST: None})
        return [finding.severity for finding in examine(template) if finding.code == "image-platform"]

    assert platform_findings(image(ASSET, Architectures=["arm64"])) == ["warning"]
    assert platform_findings(image(ASSET)) == []


def test_a_check_can_be_left_out() -> None:
    (resources,) = BAD["schedule-retries"]
    template = Template("Shop", {"Resources": resources})
    assert examine(template)
    assert examine(template, ignore={"schedule-retries"}) == []


NAMES = sorted({name for every in BAD.values() for made in every for r in made.values() for name in r["Properties"]})
TYPES = sorted({r["Type"] for every in BAD.values() for made in every for r in made.values()})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 500) | st.sampled_from(["A", "live", "x:y", "${A.Arn}:live"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*NAMES, "Ref", "Fn::GetAtt", "Fn::Join", "Fn::Sub", "Arn"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from("ABCD"),
        st.fixed_dictionaries(
            {"Type": st.sampled_from(TYPES), "Properties": st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)}
        ),
    )
)
def test_no_template_makes_a_check_fail(resources: Resources) -> None:
    found(resources)
