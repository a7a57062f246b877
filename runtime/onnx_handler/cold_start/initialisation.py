"""What is done in addition if no client waits for the initialisation of an environment.

On demand, a client waits, so the commands do not even import this module. With provisioned concurrency, SnapStart and
managed instances, Lambda initialises environments ahead: every model in memory also makes a golden run, and modules
that some requests would import later are imported.
"""

from __future__ import annotations

from importlib import import_module

from onnx_handler.models import golden_run
from onnx_handler.models.repository import Repository
from onnx_handler.storage import prefetch

SNAP_START = "snap-start"
AHEAD = frozenset({"provisioned-concurrency", SNAP_START, "lambda-managed-instances"})
# Modules that some requests import when they need them.
_LATE = ("binascii", "ctypes", "traceback", "urllib.parse", "zlib")


def complete(initialization_type: str, repository: Repository) -> None:
    """Completes the initialisation. Does nothing on demand, and for types that are not known here.

    Args:
        initialization_type: the variable AWS_LAMBDA_INITIALIZATION_TYPE.
        repository: the function's models.
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
