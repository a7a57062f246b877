"""Where the image of a service comes from: built with the deployment, or built before and named by its digest."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aws_cdk import aws_ecr as ecr

from cdk_onnx_inference._tokens import is_unresolved
from cdk_onnx_inference.errors import Problem

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceImage:
    """Where the image of a service comes from: one of the two forms below."""

    @staticmethod
    def built() -> BuiltImage:
        """`cdk deploy` builds it, and pushes it to the repository of the account's bootstrap stack."""
        return BuiltImage()

    @staticmethod
    def from_ecr(repository: ecr.IRepository, *, digest: str) -> EcrImage:
        """It was built before, of the same model and the same release of this library, and is taken as it is.

        For an account that builds, and others that only deploy: what was tested is what runs, to the byte. Build it of
        what `cdk synth` writes, `docker build cdk.out/asset.HASH`, and push it. The repository must be in the
        function's region, and its policy must let Lambda pull for the other account:
        https://docs.aws.amazon.com/lambda/latest/dg/images-create.html

        Args:
            repository: The repository, e.g. `ecr.Repository.from_repository_arn(...)` of another account.
            digest: `sha256:` and 64 hexadecimal digits. Not a tag: when a tag is pushed again, the template stays the
                same, and nothing is deployed. A change publishes a new version.
        """
        return EcrImage(repository=repository, digest=digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltImage(ServiceImage):
    """See `ServiceImage.built`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcrImage(ServiceImage):
    """See `ServiceImage.from_ecr`."""

    repository: ecr.IRepository
    digest: str


AnyServiceImage = BuiltImage | EcrImage


def check(path: str, image: AnyServiceImage) -> list[Problem]:
    """The digest."""
    if isinstance(image, BuiltImage) or is_unresolved(image.digest) or _DIGEST.fullmatch(image.digest):
        return []
    return [
        Problem(
            "image-digest",
            f"{path}.digest",
            repr(image.digest),
            "sha256: and 64 hexadecimal digits",
            "Take the one that docker push prints, or aws ecr describe-images --query 'imageDetails[].imageDigest'.",
        )
    ]
