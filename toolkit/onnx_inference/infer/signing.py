"""Signs requests with AWS Signature Version 4, with the credentials of the AWS configuration."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from onnx_inference.extras import import_from_extra

_REGION = re.compile(r"\.(?:execute-api|lambda-url)\.([a-z0-9-]+)\.")


class SigningError(RuntimeError):
    """There are no credentials, or the region is not known."""


class RequestSigner:
    """Signs requests to one service.

    Args:
        url: The endpoint, which names the region when it is on AWS.
        service: `execute-api`, or `lambda` for function URLs.
        region: The region. Default: that of the URL, then `configured_region`.

    Raises:
        MissingExtra: botocore is not installed.
        SigningError: There are no credentials, or no region.
    """

    def __init__(self, url: str, service: str, region: str | None) -> None:
        session = import_from_extra("botocore.session", "infer").get_session()
        found = _REGION.search(f".{urlsplit(url).netloc}")
        region = region or (found.group(1) if found else configured_region(session))
        credentials = session.get_credentials()
        if credentials is None:
            raise SigningError("The endpoint wants a signed request, and no AWS credentials were found.")
        if region is None:
            raise SigningError("The endpoint wants a signed request, and the region is not known: name it by --region.")
        self._request_type = import_from_extra("botocore.awsrequest", "infer").AWSRequest
        self._auth = import_from_extra("botocore.auth", "infer").SigV4Auth(credentials, service, region)

    def headers(self, method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
        """The headers of a request with those of its signature."""
        request = self._request_type(method=method, url=url, data=body, headers=dict(headers))
        self._auth.add_auth(request)
        return dict(request.headers.items())


def configured_region(session: Any) -> str | None:
    """The region of AWS_REGION, or else of the AWS configuration. botocore itself does not read AWS_REGION.

    Args:
        session: A session of botocore.
    """
    return os.environ.get("AWS_REGION") or session.get_config_variable("region")


def service_of(url: str) -> str:
    """The service that a URL's requests are signed for."""
    return "lambda" if ".lambda-url." in urlsplit(url).netloc else "execute-api"
