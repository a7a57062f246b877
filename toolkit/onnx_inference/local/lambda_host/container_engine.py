"""With a container engine, the CDK CLI builds and pushes images, and functions run in containers."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_inference.local.lambda_host.invocation import NotServed

# The CDK CLI logs in to the registry and pushes to it under the name that it has on AWS. The embedded cloud's registry
# answers on loopback, without TLS, and needs no login.
_SHIM = """\
#!/bin/sh
case "$1" in
login)
    cat > /dev/null
    ;;
push)
    for image in "$@"; do :; done
    here="{registry}/${{image#*/}}"
    "{engine}" tag "$image" "$here" && "{engine}" push {plain_http} "$here" && "{engine}" rmi "$here" > /dev/null
    ;;
*)
    exec "{engine}" "$@"
    ;;
esac
"""


@dataclass(frozen=True)
class ContainerEngine:
    """A container engine that shares this machine's loopback, and the embedded cloud's registry.

    Attributes:
        executable: `podman` or `docker`, or its path.
        registry: Where the embedded cloud's registry answers, as `host:port`.

    Raises:
        NotServed: There is no such executable.
    """

    executable: str
    registry: str

    def __post_init__(self) -> None:
        if shutil.which(self.executable) is None:
            raise NotServed(f"The container engine {self.executable!r} was not found on the PATH.")

    def write_shim(self, directory: Path) -> Path:
        """Write the program that the CDK CLI runs in place of `docker` (CDK_DOCKER)."""
        shim = directory / "docker"
        text = _SHIM.format(engine=self.executable, registry=self.registry, plain_http=" ".join(self._plain_http))
        shim.write_text(text)
        shim.chmod(0o755)
        return shim

    def run(
        self, name: str, image_uri: str, *, environment: Mapping[str, str], memory_mb: int, command: Sequence[str]
    ) -> list[str]:
        """The command that runs a function's image as Lambda does: read-only except /tmp, and without privileges."""
        variables = [f"--env={key}={value}" for key, value in environment.items()]
        return [
            self.executable,
            "run",
            "--rm",
            f"--name={name}",
            "--network=host",  # the Runtime API is on this machine's loopback
            "--read-only",
            "--tmpfs=/tmp:rw",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            "--user=993:990",
            f"--memory={memory_mb}m",
            *self._plain_http,
            *variables,
            f"{self.registry}/{image_uri.partition('/')[2]}",
            *command,
        ]

    def kill(self, name: str) -> None:
        """Kill a container, if it still runs."""
        subprocess.run([self.executable, "kill", name], capture_output=True, env=os.environ, check=False)

    @property
    def _plain_http(self) -> list[str]:
        # Docker takes loopback registries without TLS by itself.
        return ["--tls-verify=false"] if Path(self.executable).name == "podman" else []
