"""One container of an image, run under Lambda's own restrictions, and asked as Lambda would ask it."""

from __future__ import annotations

import json
import selectors
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.container.engine import Engine

PATIENCE = 60.0  # seconds; a container that has not said anything by then is stuck

Outcome = dict[str, Any]


class LambdaContainer:
    """A running container: read-only root, a user of no name, no capability, limited memory, no /dev/shm, no network.

    Attributes:
        first: what it said first: `ready`, `init error`, or `exit`.
    """

    def __init__(
        self,
        engine: Engine,
        image: str,
        *,
        command: Sequence[str] = (),
        entrypoint: str | None = None,
        environment: Mapping[str, str] | None = None,
        memory_mb: int = 512,
        mounts: Mapping[Path, str] | None = None,
    ) -> None:
        self._engine = engine
        self._name = f"onnx-{uuid.uuid4().hex[:12]}"
        variables = {
            "AWS_LAMBDA_RUNTIME_API": "{api}",
            "AWS_LAMBDA_FUNCTION_NAME": "digits",
            "AWS_LAMBDA_FUNCTION_VERSION": "1",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(memory_mb),
            "AWS_LAMBDA_LOG_FORMAT": "JSON",
            "AWS_REGION": "eu-central-1",
            "MODEL_PATH": "model",
            "MODEL_NAME": "digits",
            **(environment or {}),
        }
        arguments = [
            "podman",
            "run",
            f"--name={self._name}",
            "--rm",
            "--pull=never",
            "--read-only",
            "--read-only-tmpfs=false",
            "--tmpfs=/tmp:rw,size=512m",
            "--user=993:990",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            f"--memory={memory_mb}m",
            "--ipc=none",
            "--network=host",  # of the namespace that only the Runtime API shares
            *(f"--volume={source}:{target}:ro" for source, target in (mounts or {}).items()),
            *(f"--env={name}={value}" for name, value in variables.items()),
            *([f"--entrypoint={entrypoint}"] if entrypoint else []),
            image,
            *command,
        ]
        environment_of_podman = engine.environment(building=False)
        environment_of_podman.pop("CI", None)  # onnxruntime hides its telemetry under CI
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the container
        program = str(Path(__file__).with_name("runtime_api.py"))
        self._process = subprocess.Popen(
            ["unshare", "--net", sys.executable, program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
            cwd=engine.directory,
            env=environment_of_podman,
        )
        self.first = self._outcome()

    def invoke(self, event: Any) -> Outcome:
        """Sends an event and returns what came of it: `response` or `error`, with its body, or `exit`."""
        assert self._process.stdin is not None
        print(json.dumps(event), file=self._process.stdin, flush=True)
        return self._outcome()

    def _outcome(self) -> Outcome:
        assert self._process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            if not selector.select(PATIENCE):
                raise AssertionError(f"the container has said nothing for {PATIENCE:g} s\n{self.log}")
        line = self._process.stdout.readline()
        assert line, f"the Runtime API ended\n{self.log}"
        outcome: Outcome = json.loads(line)
        return outcome

    @property
    def log(self) -> str:
        """What the container has written so far."""
        self._log.seek(0)
        return self._log.read()

    def execute(self, *command: str) -> str:
        """Runs a command beside the handler, in the same container and as the same user."""
        return self._engine.podman("exec", self._name, *command)

    def __enter__(self) -> LambdaContainer:
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(
            ["podman", "kill", self._name],
            capture_output=True,
            env=self._engine.environment(building=False),
            check=False,
        )
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()
