"""Where models are: in the image, in S3, on a mount, and several at once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from aws_cdk import App, Stack

from cdk_onnx_inference import ModelFileSystem, ModelSource, Processing
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.models import _local_model
from tests.constructs.conftest import Codes
from tests.constructs.models.conftest import staged, text, variables
from tests.support import models, synth


def test_from_s3(stack: Stack, package: Path) -> None:
    made = variables(stack, ModelSource.from_s3(package))
    manifest = json.loads((package / "manifest.json").read_text())
    parts = json.loads(made.pop("MODEL_OBJECTS"))["parts"]
    assert [{key: part[key] for key in ("path", "size", "sha256")} for part in parts[:2]] == manifest["parts"]
    assert parts[2]["path"] == "manifest.json"
    assert [part["uri"].rpartition(".")[2] for part in parts] == ["onnx", "data", "json"]
    assert made == {
        "MODEL_NAME": "digits",
        "MODEL_VERSION": "1",
        "MODEL_DIGEST": manifest["digest"],
        "MODEL_CACHE_SIZE": "448",
        "METRICS_NAMESPACE": "OnnxInference",
        "ORT_DISABLE_TELEMETRY": "1",
    }
    assert [path.name for path in (staged(stack) / "model").iterdir()] == ["README"]
    assert "VpcConfig" not in synth.only(synth.template_of(stack), "AWS::Lambda::Function")


def test_from_s3_may_read_these_objects_and_no_others(stack: Stack, package: Path) -> None:
    made = variables(stack, ModelSource.from_s3(package))
    template = synth.template_of(stack)
    ((name, policy),) = ((name, made) for name, made in template["Resources"].items() if "ReadModel" in name)
    (statement,) = policy["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:GetObject"
    keys = {text(arn).rpartition("/")[2] for arn in statement["Resource"]}
    assert keys == {part["uri"].rpartition("/")[2] for part in json.loads(made["MODEL_OBJECTS"])["parts"]}
    (version,) = synth.resources_of(template, "AWS::Lambda::Version")
    assert version["DependsOn"] == [name]


def test_a_new_model_from_s3_has_a_policy_of_its_own_and_the_same_image(tmp_path: Path) -> None:
    """The old policy goes last, when the alias has moved: until then the version that is serving may read."""
    names, images = set(), set()
    for number in range(2):
        made = models.matmul()
        made.graph.initializer[0].raw_data = bytes([number]) * 48
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        variables(stack, ModelSource.from_s3(models.save_package(tmp_path / "digits", made)))
        template = synth.template_of(stack)
        names |= {name for name in template["Resources"] if "ReadModel" in name}
        images.add(synth.image_hash(template))
    assert (len(names), len(images)) == (2, 1)


def test_an_object_depends_on_every_byte_of_its_part(tmp_path: Path) -> None:
    """CDK hashes a file that begins without zero bytes as text, in which all bytes that are no UTF-8 are the same."""
    keys = set()
    for byte in (0x80, 0x81):
        made = models.matmul()
        made.graph.initializer[0].raw_data = bytes([byte]) * 48
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{byte}"), "Shop")
        found = variables(stack, ModelSource.from_s3(models.save_package(tmp_path / "digits", made)))
        (uri,) = (part["uri"] for part in json.loads(found["MODEL_OBJECTS"])["parts"] if "data" in part["path"])
        keys.add(uri)
    assert len(keys) == 2


def test_files_may_be_links_as_in_a_hub_cache(stack: Stack, package: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    links.mkdir()
    for number, file in enumerate(sorted(package.iterdir())):
        (links / file.name).symlink_to(file.rename(tmp_path / f"blob{number}"))
    variables(stack, ModelSource.from_s3(links))
    app = stack.node.root
    assert isinstance(app, App)
    assets = [path for path in Path(app.outdir).glob("asset.*") if path.suffix in (".onnx", ".data")]
    assert len(assets) == 2
    assert not [path for path in assets if path.is_symlink()]


def directory_of(package: Path) -> str:
    """The name of a package's directory, wherever several lie side by side: as `sha256sum *` and a hash of it say."""
    files = sorted(package.iterdir())
    listing = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest()


def test_two_manifests_of_the_same_weights_are_two_models(stack: Stack, package: Path, tmp_path: Path) -> None:
    other = models.save_package(tmp_path / "other" / "digits", session={"intra_op_num_threads": 1})
    made = variables(stack, [ModelSource.in_image(path, version=str(n)) for n, path in enumerate((package, other), 1)])
    entries = json.loads(made["MODELS"])
    for path, entry in zip((package, other), entries, strict=True):
        assert (staged(stack) / entry["path"] / "manifest.json").read_bytes() == (path / "manifest.json").read_bytes()


def test_several_models(stack: Stack, package: Path, tmp_path: Path) -> None:
    other = models.save_package(tmp_path / "letters", models.sum_and_difference())
    file_system = ModelFileSystem(stack, "Models")
    made = variables(
        stack,
        [
            ModelSource.in_image(package),
            ModelSource.in_image(other, version="3"),
            ModelSource.from_s3(package, name="remote"),
            ModelSource.on_efs(package, file_system=file_system, name="mounted"),
            ModelSource.on_efs(package, file_system=file_system, name="mounted", version="2"),
        ],
    )
    entries = json.loads(made["MODELS"])
    digest = json.loads((package / "manifest.json").read_text())["digest"]
    hexadecimal = directory_of(package)
    assert entries[0] == {"name": "digits", "version": "1", "digest": digest, "path": f"model/{hexadecimal[:16]}"}
    assert (entries[1]["name"], entries[1]["version"]) == ("letters", "3")
    assert entries[2]["objects"]["parts"][0]["path"] == "model.onnx"
    assert "path" not in entries[2]
    assert [entry["path"].split("/")[-3:] for entry in entries[3:]] == [
        ["mounted", "1", hexadecimal],
        ["mounted", "2", hexadecimal],
    ]
    assert not made.keys() & {"MODEL_PATH", "MODEL_NAME", "MODEL_VERSION", "MODEL_DIGEST", "MODEL_OBJECTS"}
    assert made["MODEL_CACHE_SIZE"] == "448"
    directories = {path.name for path in (staged(stack) / "model").iterdir()}
    assert directories == {entry["path"].split("/")[1] for entry in entries[:2]}
    assert (staged(stack) / entries[0]["path"] / "model.onnx.data").is_file()
    published = synth.resources_of(synth.template_of(stack), "Custom::OnnxModel")
    assert sorted(entry["Properties"]["MountPath"].split("/")[-2:] for entry in published) == [
        ["mounted", "1"],
        ["mounted", "2"],
    ]


def test_several_models_share_the_processing(stack: Stack, package: Path, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    sources = [ModelSource.in_image(package, name=name) for name in ("a", "b")]
    entries = json.loads(variables(stack, sources, processing=Processing(tmp_path / "words.py"))["MODELS"])
    assert [entry["processing"] for entry in entries] == ["processing/words.py"] * 2


def test_fails_on_an_image_that_is_too_large(
    codes: Codes, stack: Stack, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_image_context, "MAX_BYTES", _image_context._RUNTIME_BYTES + 100)
    assert _local_model.MAX_BYTES > _image_context.MAX_BYTES
    assert codes(lambda: variables(stack, ModelSource.in_image(package))) == ["image-too-large"]
