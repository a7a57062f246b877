"""One function's models: from S3, several at once, and what they need of the function."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App, Size, Stack, Token
from aws_cdk import aws_s3 as s3

from cdk_onnx_inference import InferenceFunction, ModelFileSystem, ModelPart, ModelSource, Processing, _environment
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.models import _local_model
from tests.constructs.conftest import Codes
from tests.support import models, synth

HEX = "0123456789abcdef" * 4
BUCKET = "B" * 44


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A model package directory."""
    return models.save_package(tmp_path / "digits")


def text(value: Any) -> str:
    """A value of the environment, with the asset bucket's name as some text."""
    if isinstance(value, str):
        return value
    return "".join(part if isinstance(part, str) else BUCKET for part in value["Fn::Join"][1])


def variables(stack: Stack, model: Any, **options: Any) -> dict[str, str]:
    InferenceFunction(stack, "Digits", model=model, **options)
    made = synth.template_of(stack)["Resources"]
    (function,) = (
        entry["Properties"]
        for entry in made.values()
        if entry["Type"] == "AWS::Lambda::Function"
        and entry["Properties"].get("ImageConfig") == {"Command": ["onnx_handler.http.handler"]}
    )
    return {name: text(value) for name, value in function["Environment"]["Variables"].items()}


def storage(stack: Stack) -> int | None:
    made: dict[str, int] | None = synth.only(synth.template_of(stack), "AWS::Lambda::Function").get("EphemeralStorage")
    return None if made is None else made["Size"]


def staged(stack: Stack) -> Path:
    template = synth.template_of(stack)
    app = stack.node.root
    assert isinstance(app, App)
    for made in synth.resources_of(template, "AWS::Lambda::Function"):
        if made["Properties"].get("ImageConfig") == {"Command": ["onnx_handler.http.handler"]}:
            return Path(app.outdir) / f"asset.{json.dumps(made['Properties']['Code']).rpartition(':')[2][:64]}"
    raise AssertionError


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


def test_every_variable_is_in_the_contract(stack: Stack, package: Path, tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def preprocess(request):\n    return request.inputs\n")
    several = variables(
        stack, [ModelSource.from_s3(package), ModelSource.in_image(package, name="b")], processing=_words(tmp_path)
    )
    other = Stack(synth.new_app(tmp_path / "other"), "Shop")
    single = variables(other, ModelSource.from_s3(package), processing=_words(tmp_path))
    assert (
        several.keys() | single.keys() | {"MODEL_PATH"}
        == _environment.NAMES - _environment.OF_JOBS - _environment.OF_HOOKS
    )


def _words(tmp_path: Path) -> Processing:
    return Processing(tmp_path / "words.py")


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
    entries = json.loads(variables(stack, sources, processing=_words(tmp_path))["MODELS"])
    assert [entry["processing"] for entry in entries] == ["processing/words.py"] * 2


def test_a_list_of_one_is_that_one(tmp_path: Path, package: Path) -> None:
    made = []
    for number, model in enumerate([ModelSource.in_image(package), [ModelSource.in_image(package)]]):
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        variables(stack, model)
        made.append(synth.template_of(stack))
    assert made[0] == made[1]


def test_fails_on_no_models(codes: Codes, stack: Stack) -> None:
    assert codes(lambda: variables(stack, [])) == ["model-missing"]


def test_fails_on_what_is_no_source(stack: Stack) -> None:
    with pytest.raises(TypeError, match=r"Shop/Digits\.model\[0\] must come from a factory of ModelSource"):
        variables(stack, ["model.onnx"])


def test_fails_on_duplicates(codes: Codes, stack: Stack, package: Path) -> None:
    assert codes(lambda: variables(stack, [ModelSource.in_image(package), ModelSource.from_s3(package)])) == [
        "model-duplicate"
    ]


def test_fails_on_two_file_systems(codes: Codes, stack: Stack, package: Path) -> None:
    sources = [ModelSource.on_efs(package, file_system=ModelFileSystem(stack, name), name=name) for name in ("A", "B")]
    assert codes(lambda: variables(stack, sources)) == ["model-mounts"]


def test_problems_say_which_model_is_meant(stack: Stack, package: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Shop/Digits\.model\[1\]\.path: got"):
        variables(stack, [ModelSource.in_image(package), ModelSource.from_s3(tmp_path / "none")])


def test_several_with_values_that_are_known_at_deployment(stack: Stack, package: Path) -> None:
    token = Token.as_string({"Ref": "Text"})
    sources = [ModelSource.from_s3(package, name=token), ModelSource.from_s3(package, name=token)]
    assert variables(stack, sources)["MODELS"].count(f'"name":"{BUCKET}"') == 2


# -- what they need of the function ---------------------------------------------------------------------------------


def in_bucket(stack: Stack, size: int) -> ModelSource:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    return ModelSource.from_bucket(bucket=bucket, prefix="big", parts=[ModelPart("model.onnx", size, HEX)])


@pytest.mark.parametrize(
    ("size", "expected", "cache"),
    [(1, None, "448"), (448_000_000, None, "448"), (448_000_001, 513, "449"), (9_000_000_000, 9064, "9000")],
)
def test_tmp_is_as_large_as_the_models_need(stack: Stack, size: int, expected: int | None, cache: str) -> None:
    made = variables(stack, in_bucket(stack, size))
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (expected, cache)


def test_tmp_of_the_user_s_own(stack: Stack) -> None:
    made = variables(stack, in_bucket(stack, 1), ephemeral_storage_size=Size.gibibytes(2))
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (2048, "1984")


def test_fails_on_too_little_tmp(codes: Codes, stack: Stack) -> None:
    source = in_bucket(stack, 1_000_000_000)
    assert codes(lambda: variables(stack, source, ephemeral_storage_size=Size.mebibytes(1063))) == [
        "ephemeral-storage-too-small"
    ]


def test_just_enough_tmp_passes(stack: Stack) -> None:
    source = in_bucket(stack, 1_000_000_000)
    assert variables(stack, source, ephemeral_storage_size=Size.mebibytes(1064))["MODEL_CACHE_SIZE"] == "1000"


def test_fails_on_more_models_than_any_tmp_holds(codes: Codes, stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    sources = [
        ModelSource.from_bucket(
            bucket=bucket,
            prefix=name,
            parts=[ModelPart("model.onnx", 6 * 1000**3, f"{number}" * 64)],
        )
        for number, name in enumerate(("a", "b"))
    ]
    assert codes(lambda: variables(stack, sources)) == ["ephemeral-storage-too-small"]


def test_each_manifest_of_the_same_weights_takes_its_tmp(stack: Stack) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "our-models")
    graph = ModelPart("model.onnx", 300_000_000, HEX)
    made = variables(
        stack,
        [
            ModelSource.from_bucket(bucket=bucket, prefix="m", parts=[graph, *manifest], version=str(version))
            for version, manifest in enumerate(([], [ModelPart("manifest.json", 1, HEX)], []), 1)
        ],
    )
    assert (storage(stack), made["MODEL_CACHE_SIZE"]) == (665, "601")


def test_tmp_that_is_known_at_deployment_passes(stack: Stack) -> None:
    size = Size.mebibytes(Token.as_number({"Ref": "Number"}))
    made = variables(stack, in_bucket(stack, 9_000_000_000), ephemeral_storage_size=size)
    assert "MODEL_CACHE_SIZE" not in made


@pytest.mark.parametrize(("megabytes", "memory_size"), [(28.2, 128), (900.0, 954), (0.0, 128)])
def test_enough_memory_for_what_was_measured(stack: Stack, tmp_path: Path, megabytes: float, memory_size: int) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": megabytes}})
    variables(stack, ModelSource.in_image(path), memory_size=memory_size)


def test_fails_on_too_little_memory_for_what_was_measured(codes: Codes, stack: Stack, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": 900.0}})
    assert codes(lambda: variables(stack, ModelSource.in_image(path), memory_size=953)) == ["memory-too-small"]


@pytest.mark.parametrize(("memory_size", "problems"), [(351, ["memory-too-small"]), (352, None)])
def test_memory_for_weights_in_the_graph(
    codes: Codes, stack: Stack, tmp_path: Path, memory_size: int, problems: list[str] | None
) -> None:
    made = models.matmul()
    made.graph.initializer[0].dims[:] = [64, 1024, 1024]
    made.graph.initializer[0].raw_data = bytes(4 * 64 * 1024**2)
    path = models.save(made, tmp_path / "digits")
    source = ModelSource.in_image(path)
    if problems is None:
        variables(stack, source, memory_size=memory_size)
    else:
        assert codes(lambda: variables(stack, source, memory_size=memory_size)) == problems


def test_memory_that_is_known_at_deployment_passes(stack: Stack, tmp_path: Path) -> None:
    path = models.save_package(tmp_path / "digits", measurements={"after": {"anonymous_mb": 90000}})
    variables(stack, ModelSource.in_image(path), memory_size=Token.as_number({"Ref": "Number"}))


def test_fails_on_an_image_that_is_too_large(
    codes: Codes, stack: Stack, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_image_context, "MAX_BYTES", _image_context._RUNTIME_BYTES + 100)
    assert _local_model.MAX_BYTES > _image_context.MAX_BYTES
    assert codes(lambda: variables(stack, ModelSource.in_image(package))) == ["image-too-large"]


def test_fails_on_an_environment_that_is_too_large(codes: Codes, stack: Stack, package: Path) -> None:
    sources = [ModelSource.from_s3(package, name=f"m{number}") for number in range(5)]
    assert codes(lambda: variables(stack, sources)) == ["environment-too-large"]
    assert "Resources" not in synth.template_of(stack)


def test_four_models_of_three_files_fit_the_environment(stack: Stack, package: Path) -> None:
    sources = [ModelSource.from_s3(package, name=f"m{number}") for number in range(4)]
    assert len(json.loads(variables(stack, sources)["MODELS"])) == 4


def test_the_environment_is_measured_as_lambda_does(tmp_path: Path, package: Path) -> None:
    def attempt(number: int, length: int) -> dict[str, str]:
        stack = Stack(synth.new_app(tmp_path / f"cdk.out.{number}"), "Shop")
        return variables(
            stack, ModelSource.in_image(package), environment={"WORDS": "ä" * 10 + '"' * 10 + "x" * length}
        )

    longest = 4096 - len(json.dumps(attempt(0, 0), separators=(",", ":"), ensure_ascii=False).encode())
    made = attempt(1, longest)
    assert len(json.dumps(made, separators=(",", ":"), ensure_ascii=False).encode()) == 4096
    with pytest.raises(ValueError, match="environment-too-large"):
        attempt(2, longest + 1)


def test_an_environment_that_is_known_at_deployment_passes(stack: Stack, package: Path) -> None:
    environment = {f"V{number}": Token.as_string({"Ref": f"Text{number}"}) for number in range(100)}
    InferenceFunction(stack, "Digits", model=ModelSource.in_image(package), environment=environment)
