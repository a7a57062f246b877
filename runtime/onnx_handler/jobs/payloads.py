"""Request bodies that are too large for the queue, and results that are too large for the table, in the bucket."""

from __future__ import annotations

import os
from typing import Any

from onnx_handler.aws import Clients, code_of
from onnx_handler.errors import InvalidInput

# DynamoDB charges each KB of an item at each write, S3 a put by itself: they cost the same at about 8 KB, and a result
# in the record saves the worker the time of a put and the client a request.
LARGEST_INLINE = 16 * 1024
LARGEST_BODY = 64 * 1024 * 1024
URL_LIFETIME = 900  # seconds that a client has to begin with the download of a result

_ABSENT = ("NoSuchKey", "NoSuchBucket", "404")


class Payloads:
    """Objects below jobs/ of one bucket.

    Args:
        clients: for S3.
        bucket: its name.
    """

    def __init__(self, clients: Clients, bucket: str) -> None:
        self._clients = clients
        self._bucket = bucket

    def put_request(self, job: str, body: bytes) -> str:
        """Stores a request body, and returns its URI."""
        return self._put(f"jobs/{job}/request", body, {})

    def put_result(self, job: str, body: bytes, headers: dict[str, str]) -> str:
        """Stores a result, and returns its URI.

        The key is another each time: two workers may have the same job, and the answer's header must be its body's.
        """
        metadata = {name: value for name, value in headers.items() if name == "Inference-Header-Content-Length"}
        key = f"jobs/{job}/result-{os.urandom(6).hex()}"
        return self._put(key, body, {"ContentType": headers["Content-Type"], "Metadata": metadata})

    def get(self, uri: str) -> bytes:
        """The object of a URI.

        Raises:
            InvalidInput: it is in another bucket, is not there, or is larger than any request may be.
        """
        answer = self._call("get_object", uri)
        if answer["ContentLength"] > LARGEST_BODY:
            answer["Body"].close()
            raise InvalidInput(f"{uri:.200} has {answer['ContentLength']} bytes; at most {LARGEST_BODY} are read")
        body: bytes = answer["Body"].read()
        return body

    def size(self, uri: str) -> int:
        """Bytes of the object of a URI; raises as `get` does."""
        size: int = self._call("head_object", uri)["ContentLength"]
        return size

    def url(self, uri: str) -> str:
        """A URL that anybody may download the object from for a while."""
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
        # The worker's role may be allowed more than whoever may send a message.
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
