"""Keeping the embedded cloud's state between two runs.

MiniStack's own persistence writes JSON. It fails on sets, and leaves out the bodies of objects. Here the same states of
its services are kept completely. Only the version of MiniStack that wrote a file reads it.
"""

import io
import pickle
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

_FILE = "cloud.state"
#: What is missing in DynamoDB's own state: the records of tables' streams. The positions of pipes refer to them.
_STREAM_STORES = ("_stream_records", "_stream_trimmed", "_closed_streams")
_SCOPED = ("AccountScopedDict", "AccountRegionScopedDict")
#: The only types that a state may have besides the built-in ones, so that reading it cannot run code.
_KNOWN = {
    *(("ministack.core.responses", name) for name in _SCOPED),
    ("onnx_inference.local.cloud.records", "RecordedResource"),
    ("collections", "OrderedDict"),
    ("collections", "defaultdict"),
    ("collections", "deque"),
    ("copyreg", "_reconstructor"),
    ("datetime", "datetime"),
    ("datetime", "timedelta"),
    ("datetime", "timezone"),
    ("decimal", "Decimal"),
    *(("builtins", name) for name in ("object", "dict", "list", "set", "frozenset", "bytearray", "complex")),
}


class StateError(RuntimeError):
    """The kept state cannot be read."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise StateError(f"The state holds {module}.{name}, which is no part of a cloud's state.")
        return super().find_class(module, name)


def save(directory: Path, app: Any, *, port: int, recorded: Mapping[str, Any]) -> None:
    """Write the state of every service.

    Args:
        directory: The directory to write to; created when it is missing.
        app: MiniStack's application module.
        port: The cloud's port, which the URLs in the state contain.
        recorded: The properties of the resources that are recorded only, by ARN.
    """
    states = {name: state() for name, state in app._build_persistence_save_dict().items()}
    content = {
        "ministack": version("ministack"),
        "port": port,
        "recorded": dict(recorded),
        "services": states,
        "stores": {name: _stores(app, name) for name in ("s3", "dynamodb")},
    }
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = directory / f"{_FILE}.new"
    unfinished.write_bytes(pickle.dumps(content))
    unfinished.replace(directory / _FILE)


def read(directory: Path) -> dict[str, Any] | None:
    """The kept state; None when there is none.

    Raises:
        StateError: It was written by another version, or is damaged.
    """
    path = directory / _FILE
    if not path.exists():
        return None
    try:
        content = _Reader(io.BytesIO(path.read_bytes())).load()
        written_by = content["ministack"]
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise StateError(f"{path} cannot be read ({error}). Delete it to begin anew.") from error
    if written_by != version("ministack"):
        raise StateError(
            f"{path} was written by ministack {written_by}, and {version('ministack')} is installed. "
            "Install that version, or delete the file to begin anew."
        )
    return dict(content)


def restore(content: dict[str, Any], app: Any) -> None:
    """Put a state that was read into the services."""
    for name, state in content["services"].items():
        if state:
            app._get_module(app._state_map[name]).load_persisted_state(state)
    for service, stores in content["stores"].items():
        for name, data in stores.items():
            store = getattr(app._get_module(service), name)._data
            store.clear()
            store.update(data)


def _stores(app: Any, service: str) -> dict[str, Any]:
    """What a service has besides its own state, by the name of the store: S3's objects, tables' streams."""
    return {
        name: value._data
        for name, value in vars(app._get_module(service)).items()
        if type(value).__name__ in _SCOPED and (service == "s3" or name in _STREAM_STORES)
    }
