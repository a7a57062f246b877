"""Models of every source on the twin: deployed, replaced, rolled back, damaged and deleted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import onnx
import onnxruntime
import pytest
import tritonclient.http as triton

from onnx_inference.local import LocalTwin
from onnx_inference.local.deployment.bootstrap import AssetStore
from onnx_inference.local.deployment.cloud_assembly import FileAsset
from onnx_inference.local.deployment.cloudformation import DeploymentError
from tests.support import models, synth

DIGITS = synth.ROOT / "examples" / "digits"
IMAGES = np.load(DIGITS / "goldens" / "images.npy").astype(np.float32)
CONTEXT = {"auth": "none", "auth_reason": "the client under test cannot sign", "name": "digits"}
STACKS = {"image": "Realtime", "efs": "LargeModel", "s3": "LargeModel", "s3-files": "LargeModel", "bucket": "OwnBucket"}
"""Where the model is -> the stack."""
BUCKET = "our-models"


@pytest.fixture(scope="module", params=STACKS)
def source(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Service:
    """One of the stacks, on a twin.

    Args:
        twin: Where it is deployed.
        source: Where its model is.
    """

    def __init__(self, twin: LocalTwin, source: str) -> None:
        self.twin, self.source, self.stack = twin, source, STACKS[source]

    def deploy(self, package: Path, **context: str) -> None:
        """Makes the stack, or updates it."""
        if self.source == "bucket":
            app, prefix = Path(__file__).parent / "bucket_app", hash_of(package)
            self._upload(package, prefix)
            given = {"bucket": BUCKET, "prefix": prefix, "manifest": str(package / "manifest.json")}
        else:
            app, given = synth.ROOT, {**CONTEXT, **context, "model": str(package)}
            if self.source != "image":
                given["source"] = self.source
        self.twin.deploy(directory=app, stacks=[self.stack], context=given)

    def _upload(self, package: Path, prefix: str) -> None:
        s3 = self.twin.client("s3")
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=BUCKET)
        for file in package.iterdir():
            s3.put_object(Bucket=BUCKET, Key=f"{prefix}/{file.name}", Body=file.read_bytes())

    def serves(self, package: Path) -> bool:
        """Whether the answers are that model's."""
        endpoint = urlsplit(self.twin.outputs(self.stack, local=True)["Endpoint"]).netloc
        with triton.InferenceServerClient(endpoint) as client:
            tensor = triton.InferInput("image", list(IMAGES.shape), "FP32")
            tensor.set_data_from_numpy(IMAGES)
            served = client.infer("digits", [tensor]).as_numpy("logits")
        expected: np.ndarray[Any, Any] = onnxruntime.InferenceSession(package / "model.onnx").run(
            ["logits"], {"image": IMAGES}
        )[0]
        return np.allclose(served, expected, rtol=1e-5, atol=1e-5)

    @property
    def function(self) -> str:
        return str(self.twin.outputs(self.stack)["FunctionName"])

    @property
    def version(self) -> str:
        """The one that answers."""
        return str(self.twin.client("lambda").get_alias(FunctionName=self.function, Name="live")["FunctionVersion"])


@pytest.fixture(scope="module")
def service(source: str, original: Path) -> Iterator[Service]:
    with LocalTwin() as twin:
        service = Service(twin, source)
        service.deploy(original)
        yield service


def hash_of(package: Path) -> str:
    return sha256(b"".join(file.read_bytes() for file in sorted(package.iterdir()))).hexdigest()[:8]


def package(directory: Path, bias: float, **members: Any) -> Path:
    """The digits model as a package, with its last bias changed."""
    made = onnx.load(DIGITS / "model.onnx")
    last = next(tensor for tensor in made.graph.initializer if list(tensor.dims) == [10])
    last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last) + np.float32(bias), last.name))
    return models.save_package(directory / "digits", made, size_threshold=1024, **members)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("original"), 0)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same graph and weights, with session options of its own."""
    return package(tmp_path_factory.mktemp("tuned"), 0, session={"intra_op_num_threads": 1})


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(tmp_path_factory.mktemp("retrained"), 1)


def test_create_update_and_rollback(service: Service, original: Path, retrained: Path) -> None:
    assert service.serves(original)
    first = service.version
    service.deploy(retrained)
    assert service.serves(retrained)
    second = service.version
    service.deploy(original)
    assert service.serves(original)
    assert second not in (first, service.version)


def test_another_manifest_is_another_version_and_the_same_one_is_none(
    service: Service, original: Path, tuned: Path
) -> None:
    if service.source not in ("efs", "s3"):
        pytest.skip("the template is compared in tests/contract/test_new_model.py, and what deploys it is the same")
    former = service.version
    assert service.serves(original)
    service.deploy(tuned)
    changed = service.version
    assert changed != former
    assert service.serves(tuned)
    service.deploy(tuned)
    assert service.version == changed
    # Back by hand. (From S3 on AWS the policy is another one by now: see docs/model-sources.md.)
    service.twin.client("lambda").update_alias(FunctionName=service.function, Name="live", FunctionVersion=former)
    assert service.serves(original)


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that are not what they were when they were hashed arrive in S3."""
    upload = AssetStore.upload

    def damage(store: AssetStore, asset: FileAsset) -> None:
        upload(store, asset)
        if asset.source.stat().st_size > 1000 and asset.source.suffix == ".data":
            content = bytearray(asset.source.read_bytes())
            content[100] ^= 1
            store._s3.put_object(Bucket=store._resolve(asset.bucket), Key=store._resolve(asset.key), Body=content)

    monkeypatch.setattr(AssetStore, "upload", damage)


def test_a_damaged_model_never_takes_over(
    service: Service, original: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if service.source != "efs":
        pytest.skip("nothing is published at deployment, or in the same way")
    service.deploy(original)  # if another test has left it elsewhere
    before = service.version
    never_seen = package(tmp_path, 2)
    request.getfixturevalue("damaged")
    with pytest.raises(DeploymentError, match=r"ROLLBACK_COMPLETE(.|\n)*is not what was deployed"):
        service.deploy(never_seen)
    assert service.version == before
    assert service.serves(original)
    request.getfixturevalue("monkeypatch").undo()
    service.deploy(never_seen)
    assert service.serves(never_seen)


def test_only_mounted_models_are_published(service: Service) -> None:
    publications = [record for record in service.twin.invocations() if "Publisher" in record.function_name]
    assert bool(publications) is (service.source in ("efs", "s3-files"))


def test_it_can_be_deleted_and_made_again(service: Service, original: Path) -> None:
    if service.stack != "LargeModel":
        pytest.skip("it has no storage of its own")
    service.deploy(original, removal="destroy", removal_reason="the test makes it again")
    service.twin.destroy()
    service.deploy(original)
    assert service.serves(original)
