"""Apps and templates for tests of constructs: one Node process serves a whole test run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import App, Stack

ROOT = Path(__file__).resolve().parents[2]
RECOMMENDED_FLAGS: Mapping[str, Any] = json.loads((ROOT / "cdk.json").read_text())["context"]
"""CDK's feature flags as the prebuilt stacks pin them."""

Template = dict[str, Any]


def new_app(outdir: Path, flags: Mapping[str, Any] = RECOMMENDED_FLAGS) -> App:
    """An app that writes to `outdir`, with the recommended feature flags unless told otherwise."""
    return App(context=dict(flags), outdir=str(outdir))


def template_of(stack: Stack) -> Template:
    """The stack's template, of a synth of its whole app."""
    app = stack.node.root
    assert isinstance(app, App)
    template: Template = app.synth(force=True).get_stack_by_name(stack.stack_name).template
    return template


def resources_of(template: Template, resource_type: str) -> list[dict[str, Any]]:
    """The resources of one type."""
    return [resource for resource in template["Resources"].values() if resource["Type"] == resource_type]


def only(template: Template, resource_type: str) -> dict[str, Any]:
    """The properties of the one resource of a type."""
    (resource,) = resources_of(template, resource_type)
    properties: dict[str, Any] = resource.get("Properties", {})
    return properties


def image_hash(template: Template) -> str:
    """Hash of the image asset of the template's one function."""
    uri = json.dumps(only(template, "AWS::Lambda::Function")["Code"]["ImageUri"])
    match = re.search(r":([0-9a-f]{64})", uri)
    assert match
    return match[1]


def staged(stack: Stack) -> Path:
    """The image context of the stack's one function, as it was copied into the cloud assembly."""
    template = template_of(stack)
    app = stack.node.root
    assert isinstance(app, App)
    return Path(app.outdir) / f"asset.{image_hash(template)}"
