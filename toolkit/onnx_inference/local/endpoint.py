"""A URL that the twin serves."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from onnx_inference.local.lambda_host.function_configuration import FunctionArn


@dataclass(frozen=True)
class Endpoint:
    """A stage of an API, or a function URL, as it is served here.

    Attributes:
        kind: `HTTP API`, `REST API` or `Function URL`.
        stack: The stack it belongs to.
        logical_id: The API's logical id in the template.
        url: Where it is served here; ends with a slash.
        aws_url: The URL that it has on AWS, as in the outputs of the stack.
        auth: How requests are authorised.
        functions: The functions behind it, with their aliases.
        note: What is not served as on AWS; empty when everything is.
    """

    kind: str
    stack: str
    logical_id: str
    url: str
    aws_url: str
    auth: str
    functions: tuple[FunctionArn, ...]
    note: str = ""

    @property
    def function(self) -> str:
        """The name of the function behind it; the first, when there are several."""
        return self.functions[0].name if self.functions else ""

    def localise(self, url: str) -> str | None:
        """The URL here for a URL of this API on AWS; None for any other URL.

        Only the first two labels of the host are compared (the API's id and the service), because the embedded cloud
        has a domain of its own.
        """
        base, given = urlsplit(self.aws_url), urlsplit(url)
        if not given.hostname or given.hostname.split(".")[:2] != (base.hostname or "").split(".")[:2]:
            return None
        prefix, path = base.path.rstrip("/"), given.path.rstrip("/")
        if path != prefix and not path.startswith(f"{prefix}/"):
            return None
        return self.url.rstrip("/") + given.path[len(prefix) :]
