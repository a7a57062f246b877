"""The embedded cloud's image repositories: an image that is missing is an error, as in ECR."""

import json
from typing import Any

from onnx_inference.local.cloud.patches import Patches, ministack


def patch_images(patches: Patches) -> None:
    """Make DescribeImages refuse an image that is missing.

    MiniStack answers with an empty list instead, and the CDK CLI then takes every image to be there already.
    """
    ecr = ministack("services.ecr")
    describe = ecr._describe_images

    def describe_images(request: dict[str, Any]) -> Any:
        name = request.get("repositoryName", "")
        for image in request.get("imageIds") or () if name in ecr._repositories else ():
            if not ecr._find_image(name, image):
                message = f"The image with imageId {json.dumps(image)} does not exist in the repository {name!r}"
                return ecr.error_response_json("ImageNotFoundException", message, 400)
        return describe(request)

    patches.attribute(ecr, "_describe_images", describe_images)
