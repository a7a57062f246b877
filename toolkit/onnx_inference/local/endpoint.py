"""One URL that the twin serves."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from onnx_inference.local.lambda_host.function_configuration import FunctionArn


@dataclass(frozen=True)
class Endpoint:
    """What one URL leads to.

    Attributes:
        kind: `HTTP API`, `REST API` or `Function URL`.
        stack: The stack it belongs to.
        logical_id: The API's logical id in the template.
        url: Where it is served here; ends with a slash.
        aws_url: The URL that CloudFormation's outputs name.
        auth: How requests are authorised.
        functions: The functions behind it, with their aliases.
        note: What of it is not served as on AWS.
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
        """The URL here for a URL of this API; None when it is another's.

        The API's id decides, the first label of the host: the embedded cloud puts a domain of its own behind it.
        """
        base, given = urlsplit(self.aws_url), urlsplit(url)
        if not given.hostname or given.hostname.split(".")[:2] != (base.hostname or "").split(".")[:2]:
            return None
        prefix, path = base.path.rstrip("/"), given.path.rstrip("/")
        if path != prefix and not path.startswith(f"{prefix}/"):
            return None
        return self.url.rstrip("/") + given.path[len(prefix) :]
