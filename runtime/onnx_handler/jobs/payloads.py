"""Request bodies that are too large for the queue, and results that are too large for the table, in the bucket."""

from __future__ import annotations

import os
from typing import Any

from onnx_handler.aws import Clients, code_of
from onnx_handler.errors import InvalidInput

# Bytes of a result that goes into the record. DynamoDB charges for each KB, S3 for each put; at about 8 KB they cost
# the same. A result in the record also saves the worker a put and the client a request.
LARGEST_INLINE = 16 * 1024
LARGEST_BODY = 64 * 1024 * 1024  # bytes
URL_LIFETIME = 900  # seconds within which a client must begin to download a result

_ABSENT = ("NoSuchKey", "NoSuchBucket", "404")


class Payloads:
    """The objects below `jobs/` in one bucket.

    Args:
        clients: for S3.
        bucket: the bucket's name.
    """

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients = clients
        self._bucket = bucket

    def put_request(self, job: str, body: bytes) -> str:
        """Stores a request body, and returns its URI."""
        return self._put(f"jobs/{job}/request", body, {})

    def put_result(self, job: str, body: bytes, headers: dict[str, str]) -> str:
        """Stores a result, and returns its URI.

        The key is random: two workers may run the same job, and neither may overwrite the result that the other one's
        record refers to.
        """
        metadata = {name: value for name, value in headers.items() if name == "Inference-Header-Content-Length"}
        key = f"jobs/{job}/result-{os.urandom(6).hex()}"
        return self._put(key, body, {"ContentType": headers["Content-Type"], "Metadata": metadata})

    def get(self, uri: str) -> bytes:
        """The content of the object at a URI.

        Raises:
            InvalidInput: it is in another bucket, does not exist, or is larger than LARGEST_BODY.
        """
        answer = self._call("get_object", uri)
        if answer["ContentLength"] > LARGEST_BODY:
            answer["Body"].close()
            raise InvalidInput(f"{uri:.200} has {answer['ContentLength']} bytes; at most {LARGEST_BODY} are read")
        body: bytes = answer["Body"].read()
        return body

    def size(self, uri: str) -> int:
        """The size of the object at a URI, in bytes.

        Raises:
            InvalidInput: it is in another bucket, or does not exist.
        """
        size: int = self._call("head_object", uri)["ContentLength"]
        return size

    def url(self, uri: str) -> str:
        """A presigned URL of the object; anybody who has it can download the object for URL_LIFETIME."""
        url: str = self._client.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": self._key(uri)}, ExpiresIn=URL_LIFETIME
        )
        return url

    def _call(self, operation: str, uri: str) -> Any:
        try:
            return getattr(self._client, operation)(Bucket=self._bucket, Key=self._key(uri))
        except Exception as error:
            if code_of(error) in _ABSENT:
                raise InvalidInput(f"{uri:.200} is not there ({code_of(error)})") from None
            raise

    def _key(self, uri: str) -> str:
        # The worker's role may read objects that the sender of a message may not.
        start = f"s3://{self._bucket}/"
        if not uri.startswith(start) or len(uri) == len(start):
            raise InvalidInput(f"{uri:.200} is not an object of the service's own bucket, {start}")
        return uri[len(start) :]

    def _put(self, key: str, body: bytes, members: dict[str, Any]) -> str:
        self._client.put_object(Bucket=self._bucket, Key=key, Body=body, **members)
        return f"s3://{self._bucket}/{key}"

    @property
    def _client(self) -> Any:
        return self._clients.get("s3")
