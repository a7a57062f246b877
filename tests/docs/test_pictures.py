"""The committed pictures are what the current templates give, and a template's arrows are drawn.

`make pictures` writes them anew.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from docs.pictures.drawing import svg
from docs.pictures.graph import ASSETS, CLIENTS, DEPLOYMENT, read
from docs.pictures.prebuilt import DIRECTORY, PICTURES, picture, template


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_current(name: str) -> None:
    assert picture(name) == (DIRECTORY / f"{name}.svg").read_text(encoding="utf-8"), "run `make pictures`"


def test_no_picture_is_left_over() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.svg")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_picture_is_well_formed_and_fetches_nothing(name: str) -> None:
    text = (DIRECTORY / f"{name}.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]  # the namespace
    assert "prefers-color-scheme:dark" in text


def test_what_a_model_on_a_file_system_is_read_and_written_by() -> None:
    graph = read(template("LargeModel", {"source": "efs"}))
    (file_system,) = (key for key, node in graph.nodes.items() if node.kind == "EFS file system")
    (publisher,) = (key for key, node in graph.nodes.items() if node.detail.startswith("onnx_handler.publish"))
    (inference,) = (key for key, node in graph.nodes.items() if node.detail.startswith("onnx_handler.http"))
    assert graph.uses == {
        (inference, file_system): ["reads"],
        (publisher, file_system): ["reads", "writes"],
        (publisher, ASSETS): ["reads"],
    }
    assert graph.calls[DEPLOYMENT, publisher] == "Custom::OnnxModel"
    assert any(source == CLIENTS for source, _ in graph.calls)


QUEUES = {
    "Resources": {
        "JobsDeadLetters0A1B2C3D": {"Type": "AWS::SQS::Queue", "Properties": {"MessageRetentionPeriod": 1209600}},
        "Jobs0A1B2C3D": {
            "Type": "AWS::SQS::Queue",
            "Properties": {
                "RedrivePolicy": {
                    "deadLetterTargetArn": {"Fn::GetAtt": ["JobsDeadLetters0A1B2C3D", "Arn"]},
                    "maxReceiveCount": 5,
                }
            },
        },
        "Role": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "Policies": [
                    {
                        "PolicyDocument": {
                            "Statement": [
                                {
                                    "Effect": "Allow",
                                    "Action": "s3:PutObject",
                                    "Resource": {"Fn::Sub": "${Results.Arn}/*"},
                                },
                                {
                                    "Effect": "Deny",
                                    "Action": "s3:GetObject",
                                    "Resource": {"Fn::Sub": "${Results.Arn}/*"},
                                },
                            ]
                        }
                    }
                ]
            },
        },
        "Results": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "Retain"},
        "WorkerFunction0A1B2C3D": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"Role": {"Fn::GetAtt": ["Role", "Arn"]}, "Handler": "worker.handler"},
        },
        "Mapping": {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {
                "EventSourceArn": {"Fn::GetAtt": ["Jobs0A1B2C3D", "Arn"]},
                "FunctionName": {"Ref": "WorkerFunction0A1B2C3D"},
                "BatchSize": 4,
            },
        },
    }
}


def test_queues_and_permissions_of_any_template() -> None:
    graph = read(QUEUES)
    assert graph.calls == {
        ("Jobs0A1B2C3D", "WorkerFunction0A1B2C3D"): "batches of 4",
        ("Jobs0A1B2C3D", "JobsDeadLetters0A1B2C3D"): "after 5 receives",
    }
    assert graph.uses == {("WorkerFunction0A1B2C3D", "Results"): ["writes"]}  # what is denied is no arrow
    drawn = svg(graph, title="Jobs")
    for words in ("Worker", "Jobs Dead Letters", "after 5 receives", "keeps messages 14 days", "stays when the stack"):
        assert words in drawn
    assert drawn == svg(read(QUEUES), title="Jobs")
