"""Makes the processes of functions misbehave. It is copied into an image's directory as `sitecustomize.py`.

The file `faults.json` beside it says how. It is read again whenever it changes:

    endpoint        where the SDK finds AWS; read once
    handlers        which handlers the rest is about
    skew_seconds    how far the clock is off
    kill_rate       the chance to be killed within each tenth of a second
    die             {"job", "call", "when": "before" | "after"}: end at the n-th call of AWS that names the job
"""

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

_FILE = Path(os.environ.get("LAMBDA_TASK_ROOT", ".")) / "faults.json"
_TICK_SECONDS = 0.1
_real_time, _real_time_ns, _real_sleep = time.time, time.time_ns, time.sleep
_settings: dict = {}
_calls: dict = {}


def _read() -> None:
    try:
        settings = json.loads(_FILE.read_text())
    except (OSError, ValueError):
        return
    mine = os.environ.get("_HANDLER") in settings.get("handlers", ())
    _settings.clear()
    _settings.update(settings if mine else {"endpoint": settings.get("endpoint")})


def _watch() -> None:
    draw = random.Random(f"{_settings.get('seed')}-{os.getpid()}").random
    seen = None
    while True:
        _real_sleep(_TICK_SECONDS)
        try:
            changed = _FILE.stat().st_mtime_ns
        except OSError:
            continue
        if changed != seen:
            seen = changed
            _read()
        if draw() < _settings.get("kill_rate", 0.0):
            os.kill(os.getpid(), signal.SIGKILL)


def _shifted() -> float:
    # Not for the runtime itself: it computes the remaining time from Lambda's deadline, which is by the real clock.
    if sys._getframe(1).f_globals.get("__name__", "").startswith("awslambdaric"):
        return _real_time()
    return _real_time() + _settings.get("skew_seconds", 0.0)


def _shifted_ns() -> int:
    return _real_time_ns() + int(_settings.get("skew_seconds", 0.0) * 1e9)


def _die_at(when: str, body: object) -> None:
    die = _settings.get("die")
    if not die or die["job"].encode() not in (body if isinstance(body, bytes) else str(body).encode()):
        return
    if when == "before":
        _calls[die["job"]] = _calls.get(die["job"], 0) + 1
    if when == die["when"] and _calls.get(die["job"]) == die["call"]:
        os.kill(os.getpid(), signal.SIGKILL)


def _watch_calls() -> None:
    """Look at each call of AWS before and after it is made. botocore is patched when a function imports it."""
    import importlib.abc
    import importlib.machinery

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name != "botocore.httpsession":
                return None
            sys.meta_path.remove(self)
            spec = importlib.machinery.PathFinder.find_spec(name, path)
            run = spec.loader.exec_module

            def exec_module(module):
                run(module)
                send = module.URLLib3Session.send

                def watched(session, request):
                    _die_at("before", request.body or request.url)
                    answer = send(session, request)
                    _die_at("after", request.body or request.url)
                    return answer

                module.URLLib3Session.send = watched

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, Finder())


if _FILE.exists():
    _read()
    if _settings.get("endpoint"):
        os.environ["AWS_ENDPOINT_URL"] = _settings["endpoint"]
    time.time, time.time_ns = _shifted, _shifted_ns
    _watch_calls()
    threading.Thread(target=_watch, daemon=True).start()
