"""The checks, by subject: each module has a list, and `ALL` has all of them."""

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
