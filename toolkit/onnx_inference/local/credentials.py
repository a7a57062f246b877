"""The dummy credentials by which everything talks to the embedded cloud."""

from dataclasses import dataclass

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
SECRET_ACCESS_KEY = "onnx-inference-local"


@dataclass(frozen=True)
class LocalCredentials:
    """Where the embedded cloud listens, and the credentials it knows.

    The access key is the account id: that is how the embedded cloud tells accounts apart.

    Attributes:
        endpoint_url: Where every service answers.
        account: The account.
        region: The region.
        code_deploy_url: Where CodeDeploy answers, which the embedded cloud does not have. Default: nowhere.
    """

    endpoint_url: str
    account: str
    region: str
    code_deploy_url: str | None = None

    @property
    def access_key_id(self) -> str:
        """The access key that stands for the account."""
        return self.account

    @property
    def secret_access_key(self) -> str:
        """The one secret of the embedded cloud; signatures at its endpoints are checked against it."""
        return SECRET_ACCESS_KEY

    def endpoints(self) -> dict[str, str]:
        """The variables that tell an AWS SDK where the services answer."""
        elsewhere = {} if self.code_deploy_url is None else {"AWS_ENDPOINT_URL_CODEDEPLOY": self.code_deploy_url}
        return {"AWS_ENDPOINT_URL": self.endpoint_url, **elsewhere}

    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK or the CDK CLI at the embedded cloud."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            **self.endpoints(),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def export_lines(self) -> str:
        """The same as lines for a shell."""
        return "\n".join(f"export {name}={value}" for name, value in self.environment().items())
