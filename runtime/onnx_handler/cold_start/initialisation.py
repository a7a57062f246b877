"""What is done before the first event where Lambda initialises environments ahead, so that nobody waits for it.

On demand, a client waits for the initialisation, and so for whatever its own request does not need: there a room does
not even import this module. With provisioned concurrency, SnapStart and managed instances nobody waits: there every
model that is in memory also makes a run, and what requests import late is imported.
"""

from __future__ import annotations

from importlib import import_module

from onnx_handler.models import golden_run
from onnx_handler.models.repository import Repository
from onnx_handler.storage import prefetch

SNAP_START = "snap-start"
AHEAD = frozenset({"provisioned-concurrency", SNAP_START, "lambda-managed-instances"})
# What some requests import when they need it.
_LATE = ("binascii", "ctypes", "traceback", "urllib.parse", "zlib")


def complete(initialization_type: str, repository: Repository) -> None:
    """Does it. A type that is not known here is taken for on demand.

    Args:
        initialization_type: Lambda's AWS_LAMBDA_INITIALIZATION_TYPE.
        repository: has loaded what fits.
    """
    if initialization_type not in AHEAD:
        return
    for module in _LATE:
        import_module(module)
    prefetch.wait()
    for served in repository.in_memory():
        if served.model is not None:
            golden_run.run(served.model, served.metrics)
    if initialization_type == SNAP_START:
        from .snapshot import register

        register(repository)
