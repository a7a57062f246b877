"""Functions' file systems: each is a directory of this machine, mounted where the function expects it."""

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx_inference.local.lambda_host.invocation import NotServed

#: Tells the file system's id of an access point, and its root directory there.
AccessPointLookup = Callable[[str], tuple[str, str]]

# The process has a mount namespace of its own, so that no other process sees the mounts. Mount paths are below /mnt,
# so /mnt is replaced.
_MOUNT = """\
set -e
mount -t tmpfs tmpfs /mnt
while [ "$1" != -- ]; do
    mkdir -p "$2"
    mount --bind "$1" "$2"
    shift 2
done
shift
exec "$@"
"""


@dataclass(frozen=True)
class FileSystemMount:
    """A file system of a function.

    Attributes:
        access_point_arn: The access point.
        path: Where the function sees it, below /mnt.
    """

    access_point_arn: str
    path: str


class FileSystems:
    """The directories that stand for file systems. They exist as long as the twin runs.

    Args:
        directory: Where they are made.
        lookup: Tells the file system and the root directory of an access point.
    """

    def __init__(self, directory: Path, lookup: AccessPointLookup) -> None:
        self._directory = directory
        self._lookup = lookup

    def directory(self, access_point_arn: str) -> Path:
        """The directory of an access point. Access points of one file system see each other's files.

        Raises:
            NotServed: It is not an access point of EFS or S3 Files.
        """
        if not any(f":{service}:" in access_point_arn for service in ("elasticfilesystem", "s3files")):
            raise NotServed(f"The twin mounts access points of EFS and S3 Files only, not {access_point_arn}.")
        file_system, root = self._lookup(access_point_arn)
        path = self._directory / file_system / root.strip("/")
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o777)  # POSIX users and permissions of access points are not applied
        return path

    def mounted(self, command: Sequence[str], mounts: Sequence[FileSystemMount]) -> list[str]:
        """The command that mounts the file systems and then runs the command; the command itself without mounts.

        Raises:
            NotServed: This machine has no `unshare`.
        """
        if not mounts:
            return list(command)
        unshare = shutil.which("unshare")
        if unshare is None:
            raise NotServed("Functions with a file system need `unshare` (util-linux), which is not on the PATH.")
        namespaces = ["--mount"] if os.geteuid() == 0 else ["--mount", "--map-root-user"]
        places = [part for mount in mounts for part in (str(self.directory(mount.access_point_arn)), mount.path)]
        return [unshare, *namespaces, "sh", "-c", _MOUNT, "mount", *places, "--", *command]
