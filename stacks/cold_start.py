"""Reads the options about cold starts from CDK context: `-c cold_start=warmer -c warmer_interval=10`."""

from __future__ import annotations

import re

from aws_cdk import Duration, TimeZone

from cdk_onnx_inference import ColdStart, ProvisionedConcurrency, WarmHours

from .context_reader import ContextReader

_OPTIONS = {
    "provisioned": ("provisioned_max", "provisioned_min", "provisioned_target"),
    "warmer": ("warmer_concurrency", "warmer_hours", "warmer_interval", "warmer_time_zone"),
}
KEYS = ("cold_start", *(key for keys in _OPTIONS.values() for key in keys))
"""What may follow `-c`; `stacks/context.py` says what each means."""


def read(reader: ContextReader) -> ColdStart:
    """What the context asks for. Default: on demand.

    An option that belongs to another choice is a problem, because it would have no effect.
    """
    kind = reader.choice("cold_start", ("on-demand", "warmer", "provisioned", "snap-start"))
    for other, keys in _OPTIONS.items():
        for key in keys:
            if other != kind and (value := reader.text(key)) is not None:
                reader.problem(key, value, f"with cold_start={other}", f"Give -c cold_start={other} as well.")
    if kind == "provisioned":
        return ColdStart.provisioned(_concurrency(reader))
    if kind == "warmer":
        return ColdStart.warmer(
            concurrency=reader.whole_number("warmer_concurrency", 1),
            interval=Duration.minutes(reader.whole_number("warmer_interval", 5)),
            hours=_hours(reader),
        )
    return ColdStart.snap_start() if kind == "snap-start" else ColdStart.on_demand()


def _concurrency(reader: ContextReader) -> ProvisionedConcurrency:
    least = reader.whole_number("provisioned_min", 1)
    scaled = reader.text("provisioned_max") is not None
    percent = reader.text("provisioned_target")
    if percent is not None and not scaled:
        reader.problem("provisioned_target", percent, "with provisioned_max=N", "Give -c provisioned_max=N as well.")
        return ProvisionedConcurrency(min_capacity=least)
    return ProvisionedConcurrency(
        min_capacity=least,
        max_capacity=reader.whole_number("provisioned_max", least) if scaled else None,
        target_utilization=reader.whole_number("provisioned_target", 70) / 100 if percent is not None else None,
    )


def _hours(reader: ContextReader) -> WarmHours | None:
    text = reader.text("warmer_hours")
    zone = reader.text("warmer_time_zone")
    if text is None:
        if zone is not None:
            reader.problem("warmer_time_zone", zone, "with warmer_hours=8-18", "Give -c warmer_hours=8-18 as well.")
        return None
    found = re.fullmatch(r"([0-9]{1,2})-([0-9]{1,2})", text)
    if found is None:
        reader.problem("warmer_hours", text, "two hours of the day, e.g. 8-18", "Give e.g. -c warmer_hours=8-18.")
        return None
    return WarmHours(start=int(found[1]), end=int(found[2]), time_zone=None if zone is None else TimeZone.of(zone))
