"""The rules, by what they are about. A list in each module; `ALL` has them together."""

from onnx_inference.doctor.checks import apis, concurrency, images, network, queues, schedules, snap_start
from onnx_inference.doctor.finding import Check

ALL: tuple[Check, ...] = (
    *queues.CHECKS,
    *concurrency.CHECKS,
    *snap_start.CHECKS,
    *schedules.CHECKS,
    *apis.CHECKS,
    *images.CHECKS,
    *network.CHECKS,
)
