"""The cache with another S3 than the tests' own: the embedded cloud of the local twin, where boto3 put the model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from onnx_handler.errors import ModelUnusable
from onnx_handler.model_objects import Part
from onnx_handler.storage import download
from onnx_handler.storage.model_cache import ModelCache

pytest.importorskip("ministack.app")

FILES = {"model.onnx": b"graph", "weights/a b ü.data": bytes(range(251)) * 500, "empty": b""}


@pytest.fixture(scope="module")
def parts() -> Iterator[tuple[Part, ...]]:
    from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud

    cloud = EmbeddedCloud(lambda arn, payload: pytest.fail("nothing is invoked"))
    cloud.start()
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket="models")
    for path, content in FILES.items():
        s3.put_object(Bucket="models", Key=f"a/{path}", Body=content)
    credentials = cloud.credentials()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", cloud.endpoint_url)
        patch.setenv("AWS_ACCESS_KEY_ID", credentials.access_key_id)
        patch.setenv("AWS_SECRET_ACCESS_KEY", credentials.secret_access_key)
        patch.setenv("AWS_REGION", credentials.region)
        patch.setattr(download, "RANGE", 10_000)
        yield tuple(
            Part(path, "models", f"a/{path}", len(content), hashlib.sha256(content).hexdigest())
            for path, content in sorted(FILES.items())
        )
    cloud.stop()


def test_a_model_is_what_was_put_there(parts: tuple[Part, ...], tmp_path: Path) -> None:
    path = Path(ModelCache(str(tmp_path / "cache")).obtain(parts))
    assert {name: (path / name).read_bytes() for name in FILES} == FILES


def test_what_is_not_there_is_told(parts: tuple[Part, ...], tmp_path: Path) -> None:
    missing = (*parts, Part("more", "models", "a/more", 1, "0" * 64))
    with pytest.raises(ModelUnusable, match="s3://models/a/more cannot be read: HTTP 404 NoSuchKey"):
        ModelCache(str(tmp_path / "cache")).obtain(missing)
    longer = (parts[1]._replace(size=parts[1].size + 20_000),)
    with pytest.raises(ModelUnusable, match=r"is not the object of|416"):
        ModelCache(str(tmp_path / "cache")).obtain(longer)
