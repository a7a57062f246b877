"""One URL that the twin serves."""

from dataclasses import dataclass

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
        """The URL here for a URL on AWS; None when that is of another API."""
        base, given = self.aws_url.rstrip("/"), url.rstrip("/")
        if given != base and not given.startswith(f"{base}/"):
            return None
        return self.url.rstrip("/") + url[len(base) :]
