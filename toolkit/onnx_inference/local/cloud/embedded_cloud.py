"""The embedded cloud: MiniStack in this process, on loopback, with the parts that the twin does itself.

Only this package touches MiniStack's internals. MiniStack is pinned exactly in pyproject.toml, and
`tests/toolkit/local/cloud/test_ministack_internals.py` states what this package expects of them.
"""

import logging
import threading
from pathlib import Path
from typing import Any

from onnx_inference.extras import import_from_extra
from onnx_inference.local.cloud import state
from onnx_inference.local.cloud.alarms import patch_alarms
from onnx_inference.local.cloud.aliases import AliasMover, patch_aliases
from onnx_inference.local.cloud.buckets import patch_buckets
from onnx_inference.local.cloud.functions import EmbeddedFunctions, ImageInvoker
from onnx_inference.local.cloud.images import patch_images
from onnx_inference.local.cloud.patches import Patches, ministack
from onnx_inference.local.cloud.queues import EmbeddedQueues
from onnx_inference.local.cloud.recorded_resources import RecordedResources
from onnx_inference.local.cloud.schedules import EmbeddedSchedules
from onnx_inference.local.cloud.server import CloudError, MiniStackServer
from onnx_inference.local.cloud.snapshots import SnapshotMaker, Snapshots
from onnx_inference.local.cloud.streams import EmbeddedStreams
from onnx_inference.local.credentials import DEFAULT_ACCOUNT, DEFAULT_REGION, LocalCredentials

#: MiniStack keeps its state in modules, so one process holds one cloud at a time.
_running = threading.Lock()


class EmbeddedCloud:
    """MiniStack in a thread of this process, bound to loopback on a free port.

    Args:
        invoke_image: Runs an image function, for every invocation that the cloud itself makes (`lambda.invoke`, event
            source mappings of streams, notifications).
        region: The region of clients that name none.
        account: The account of clients that name none.
        state_directory: Where the state is kept between two runs. Default: it is forgotten.
        make_snapshot: Initialises a published version with SnapStart; what it raises fails the version.
        move_alias: Moves an alias that its template leaves to CodeDeploy. Default: it moves at once.

    Attributes:
        functions: The deployed functions. This and the other attributes are there once the cloud is started.
        queues: The queues.
        streams: The tables' streams, and the pipes.
        schedules: The schedules and scheduled rules.
        recorded: The resources that are recorded and do nothing.
    """

    functions: EmbeddedFunctions
    queues: EmbeddedQueues
    streams: EmbeddedStreams
    schedules: EmbeddedSchedules
    recorded: RecordedResources

    def __init__(
        self,
        invoke_image: ImageInvoker,
        *,
        region: str = DEFAULT_REGION,
        account: str = DEFAULT_ACCOUNT,
        state_directory: Path | None = None,
        make_snapshot: SnapshotMaker | None = None,
        move_alias: AliasMover | None = None,
    ) -> None:
        self._invoke_image = invoke_image
        self._region = region
        self._account = account
        self._state_directory = state_directory
        self._make_snapshot = make_snapshot
        self._move_alias = move_alias
        self._server = MiniStackServer(account, region)
        self._patches = Patches()
        self._started = False

    def start(self) -> None:
        """Start the cloud and return once it answers.

        Raises:
            MissingExtra: MiniStack is not installed.
            CloudError: Another cloud runs in this process, or it did not come up.
            StateError: The kept state cannot be read.
        """
        if not _running.acquire(blocking=False):
            raise CloudError("An embedded cloud already runs in this process: only one at a time is possible.")
        try:
            kept = None if self._state_directory is None else state.read(self._state_directory)
            self._server.prepare(None if kept is None else kept["port"])
            import_from_extra("ministack", "local")
            logging.getLogger("ministack").setLevel(logging.WARNING)
            # It warns of what KMS lacks without the package cryptography, and nothing here calls KMS.
            logging.getLogger("kms").setLevel(logging.ERROR)
            self._patch()
            if kept is not None:
                state.restore(kept, ministack("app"))
                self.recorded.by_arn.update(kept["recorded"])
            self._server.start()
        except BaseException:
            self._put_back()
            raise
        self._started = True

    def stop(self) -> None:
        """Stop the cloud. What it held is kept in the state directory, or forgotten when there is none."""
        if not self._started:
            return
        self._started = False
        self._server.stop()
        app = ministack("app")
        if self._state_directory is not None:
            state.save(self._state_directory, app, port=self._server.port, recorded=self.recorded.by_arn)
        app._reset_all_state()
        self._put_back()

    def _patch(self) -> None:
        patches = self._patches
        patches.attribute(ministack("app"), "_docker_socket_present", lambda: False)
        self.recorded = RecordedResources(patches, self._account, self._region)
        self.functions = EmbeddedFunctions(patches, self._invoke_image)
        self.queues = EmbeddedQueues(self._server, patches)
        self.streams = EmbeddedStreams(self._server, patches)
        self.schedules = EmbeddedSchedules(patches)
        Snapshots(patches, self.functions, self._make_snapshot)
        patch_alarms(patches, self._account, self._region, self.recorded.by_arn)
        patch_aliases(patches, self._move_alias)
        patch_buckets(patches, lambda account, region: self.client("s3", account=account, region=region))
        patch_images(patches)

    def _put_back(self) -> None:
        self._patches.undo()
        self._server.clean_up()
        _running.release()

    # -- clients ------------------------------------------------------------------------------------------------

    @property
    def endpoint_url(self) -> str:
        """The URL at which the cloud answers every AWS API."""
        return self._server.url

    def credentials(self, *, account: str | None = None, region: str | None = None) -> LocalCredentials:
        """The credentials for one environment (account and region) of this cloud."""
        return LocalCredentials(self.endpoint_url, account or self._account, region or self._region)

    def client(self, service: str, *, account: str | None = None, region: str | None = None) -> Any:
        """A boto3 client for one service in one environment of this cloud."""
        boto3 = import_from_extra("boto3", "local")
        config = import_from_extra("botocore.config", "local").Config(
            retries={"max_attempts": 1}, read_timeout=930, s3={"addressing_style": "path"}
        )
        credentials = self.credentials(account=account, region=region)
        return boto3.session.Session(
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            region_name=credentials.region,
        ).client(service, endpoint_url=credentials.endpoint_url, config=config)

    def caller_environment(self) -> dict[str, str]:
        """The process's environment without the variables that were set for MiniStack."""
        return self._server.caller_environment()

    def access_point(self, arn: str) -> tuple[str, str]:
        """Where an access point of EFS or S3 Files leads: its file system's id, and its root directory there."""
        if arn in self.recorded.by_arn:  # S3 Files, which MiniStack's CloudFormation does not know
            properties = self.recorded.by_arn[arn].properties
            return properties["FileSystemId"], (properties.get("RootDirectory") or {}).get("Path", "/")
        _, _, _, region, account, resource = arn.split(":", 5)
        client = self.client("efs", account=account, region=region)
        (found,) = client.describe_access_points(AccessPointId=resource.rpartition("/")[2])["AccessPoints"]
        return found["FileSystemId"], found["RootDirectory"]["Path"]
