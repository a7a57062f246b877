"""Mounts: what one function writes another one reads, at the path that the template names and nowhere else."""

import subprocess
from pathlib import Path

import pytest

from onnx_inference.local.lambda_host.file_systems import FileSystemMount, FileSystems
from onnx_inference.local.lambda_host.invocation import NotServed
from tests.toolkit.local.lambda_host.conftest import Deployed

WRITER = "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-1"
READER = "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-2"
OTHER = "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point/fsap-3"
ROOTS = {WRITER: ("fs-1", "/models"), READER: ("fs-1", "/models"), OTHER: ("fs-2", "/models")}


@pytest.fixture
def file_systems(tmp_path: Path) -> FileSystems:
    return FileSystems(tmp_path / "file-systems", ROOTS.__getitem__)


def shell(file_systems: FileSystems, script: str, *mounts: FileSystemMount) -> str:
    command = file_systems.mounted(["sh", "-c", script], mounts)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_access_points_of_one_file_system_share_its_files(file_systems: FileSystems) -> None:
    shell(file_systems, "echo weights > /mnt/models/model.onnx", FileSystemMount(WRITER, "/mnt/models"))
    assert shell(file_systems, "cat /mnt/other/model.onnx", FileSystemMount(READER, "/mnt/other")) == "weights\n"
    assert shell(file_systems, "ls /mnt/models", FileSystemMount(OTHER, "/mnt/models")) == ""


def test_nobody_else_sees_the_mount(file_systems: FileSystems) -> None:
    shell(file_systems, "touch /mnt/onnx-inference-test/x", FileSystemMount(WRITER, "/mnt/onnx-inference-test"))
    assert not Path("/mnt/onnx-inference-test").exists()


def test_without_mounts_the_command_is_itself(file_systems: FileSystems) -> None:
    assert file_systems.mounted(["true"], ()) == ["true"]


def test_other_file_systems_are_said(file_systems: FileSystems) -> None:
    with pytest.raises(NotServed, match="EFS and S3 Files only"):
        file_systems.directory("arn:aws:fsx:eu-central-1:123456789012:file-system/fs-1")


def test_a_configuration_names_its_mounts() -> None:
    deployed = Deployed()
    deployed.add("f", "handlers.echo", FileSystemConfigs=[{"Arn": WRITER, "LocalMountPath": "/mnt/models"}])
    configuration = deployed.functions["f"].configuration("1")
    assert configuration is not None
    assert configuration.mounts == (FileSystemMount(WRITER, "/mnt/models"),)
