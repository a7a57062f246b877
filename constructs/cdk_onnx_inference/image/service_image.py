"""Where the image of a service comes from: built by the deployment, or taken from a repository by its digest."""

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
        """`cdk deploy` builds it and pushes it to the repository of the account's bootstrap stack. The default."""
        return BuiltImage()

    @staticmethod
    def from_ecr(repository: ecr.IRepository, *, digest: str) -> EcrImage:
        """An image that was built before, with the same model and the same release of this library.

        Use it when one account builds and others only deploy: they then run exactly the image that was tested. Build it
        from what `cdk synth` writes, with `docker build cdk.out/asset.HASH`, and push it. The repository must be in the
        function's region. If it belongs to another account, its policy must allow Lambda to pull for this one:
        https://docs.aws.amazon.com/lambda/latest/dg/images-create.html

        Args:
            repository: The repository, e.g. `ecr.Repository.from_repository_arn(...)` of another account.
            digest: `sha256:` and 64 hexadecimal digits. A tag would not do: when it is pushed again the template stays
                the same, so nothing is deployed. A change publishes a new version.
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
"""What the factories of `ServiceImage` return."""


def check(path: str, image: AnyServiceImage) -> list[Problem]:
    """Checks the digest of an image from a repository."""
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
