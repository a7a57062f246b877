"""What `cdk bootstrap` creates, created directly: the bucket and repository for assets, and the version parameter."""

import contextlib
import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.credentials import LocalCredentials
from onnx_inference.local.deployment.cloud_assembly import DockerImageAsset, FileAsset

_QUALIFIER = "hnb659fds"
_VERSION_PARAMETER = f"/cdk-bootstrap/{_QUALIFIER}/version"
_VERSION = "30"
_MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"


class AssetStore:
    """The buckets and repositories for the assets of one environment (account and region).

    Args:
        cloud: The embedded cloud.
        account: The environment's account.
        region: The environment's region.
    """

    def __init__(self, cloud: EmbeddedCloud, account: str, region: str) -> None:
        self._credentials: LocalCredentials = cloud.credentials(account=account, region=region)
        self._s3 = cloud.client("s3", account=account, region=region)
        self._ecr = cloud.client("ecr", account=account, region=region)
        self._ssm = cloud.client("ssm", account=account, region=region)
        self._buckets: set[str] = set()
        self._repositories: set[str] = set()

    def bootstrap(self) -> None:
        """Make the default bucket, repository and version parameter, as `cdk bootstrap` does."""
        suffix = "${AWS::AccountId}-${AWS::Region}"
        self._ensure_bucket(self._resolve(f"cdk-{_QUALIFIER}-assets-{suffix}"))
        self._ensure_repository(self._resolve(f"cdk-{_QUALIFIER}-container-assets-{suffix}"))
        self._ssm.put_parameter(Name=_VERSION_PARAMETER, Value=_VERSION, Type="String", Overwrite=True)

    def upload(self, asset: FileAsset) -> None:
        """Put a file asset into its bucket; a directory is zipped."""
        bucket = self._resolve(asset.bucket)
        self._ensure_bucket(bucket)
        body = _zipped(asset.source) if asset.packaging == "zip" else asset.source.read_bytes()
        self._s3.put_object(Bucket=bucket, Key=self._resolve(asset.key), Body=body)

    def put_text(self, bucket: str, key: str, text: str) -> None:
        """Put a text into a bucket; the bucket is created when it is missing."""
        self._ensure_bucket(bucket)
        self._s3.put_object(Bucket=bucket, Key=key, Body=text.encode())

    def put_placeholder(self, asset: DockerImageAsset) -> None:
        """Put an empty image with the asset's tag. Nothing is built: the Lambda host finds the directory by the tag.

        The CDK CLI builds an image only if the repository does not have its tag.
        """
        repository = self._resolve(asset.repository)
        self._ensure_repository(repository)
        digest = "sha256:" + hashlib.sha256(asset.tag.encode()).hexdigest()
        manifest = {
            "schemaVersion": 2,
            "mediaType": _MANIFEST_TYPE,
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 2, "digest": digest},
            "layers": [],
        }
        try:
            self._ecr.put_image(
                repositoryName=repository,
                imageManifest=json.dumps(manifest),
                imageManifestMediaType=_MANIFEST_TYPE,
                imageTag=asset.tag,
            )
        except (self._ecr.exceptions.ImageAlreadyExistsException, self._ecr.exceptions.ImageTagAlreadyExistsException):
            return

    def _ensure_bucket(self, name: str) -> None:
        if name in self._buckets:
            return
        region = self._credentials.region
        arguments: dict[str, Any] = {"Bucket": name}
        if region != "us-east-1":
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": region}
        taken = self._s3.exceptions.BucketAlreadyOwnedByYou, self._s3.exceptions.BucketAlreadyExists
        with contextlib.suppress(*taken):
            self._s3.create_bucket(**arguments)
        self._buckets.add(name)

    def _ensure_repository(self, name: str) -> None:
        if name in self._repositories:
            return
        with contextlib.suppress(self._ecr.exceptions.RepositoryAlreadyExistsException):
            self._ecr.create_repository(repositoryName=name)
        self._repositories.add(name)

    def _resolve(self, name: str) -> str:
        credentials = self._credentials
        for placeholder, value in {
            "${AWS::AccountId}": credentials.account,
            "${AWS::Region}": credentials.region,
            "${AWS::Partition}": "aws",
        }.items():
            name = name.replace(placeholder, value)
        return name


def _zipped(directory: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(directory))
    return buffer.getvalue()
