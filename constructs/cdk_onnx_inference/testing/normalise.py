"""Masks what changes in a template with every build, so that differences show infrastructure only."""

from __future__ import annotations

import json
import re
from typing import Any

Template = dict[str, Any]

_MASKS = (
    # The ids of a function's version and of an API's deployment end with a hash of the function or the API.
    (re.compile(r"(CurrentVersion[0-9A-F]{8})[0-9a-f]{32}"), r"\1<version>"),
    (re.compile(r"(Deployment[0-9A-F]{8})[0-9a-f]{32}"), r"\1<deployment>"),
    (re.compile(r"(ReadModel)[0-9a-f]{8}[0-9A-F]{8}"), r"\1<digest>"),
    (re.compile(r"(?<=sha256:)[0-9a-f]{64}"), "<model digest>"),
    (re.compile(r"\b[0-9a-f]{64}(?=\.json|\.zip)"), "<asset hash>"),
    (re.compile(r"(?<=:)[0-9a-f]{64}\b"), "<image hash>"),  # the tag in an ImageUri
    (re.compile(r'(?<=\\"size\\":)[0-9]+'), "<size>"),  # of a part of a model
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
)


def normalised(template: Template) -> Template:
    """The template without hashes of assets, images, models, versions and deployments.

    The parameter and the rule with which CDK checks the version of the bootstrap stack are left out too.

    Args:
        template: As CDK synthesised it. It is not changed.
    """
    text = json.dumps(template)
    for pattern, replacement in _MASKS:
        text = pattern.sub(replacement, text)
    masked: Template = json.loads(text)
    for section, name in (("Parameters", "BootstrapVersion"), ("Rules", "CheckBootstrapVersion")):
        masked.get(section, {}).pop(name, None)
        if not masked.get(section, True):
            del masked[section]
    return masked
