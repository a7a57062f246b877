"""The dummy credentials with which clients call the embedded cloud."""

from dataclasses import dataclass

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"
SECRET_ACCESS_KEY = "onnx-inference-local"


@dataclass(frozen=True)
class LocalCredentials:
    """The embedded cloud's endpoint, and the credentials for one account and region.

    The access key is the account id, because the embedded cloud tells accounts apart by it.

    Attributes:
        endpoint_url: The URL at which every service answers.
        account: The account.
        region: The region.
        code_deploy_url: The URL at which the stand-in for CodeDeploy answers. Default: it does not answer.
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
        """The one secret of the embedded cloud. The signatures of requests to APIs are checked against it."""
        return SECRET_ACCESS_KEY

    def endpoints(self) -> dict[str, str]:
        """The environment variables that tell an AWS SDK where the services answer."""
        elsewhere = {} if self.code_deploy_url is None else {"AWS_ENDPOINT_URL_CODEDEPLOY": self.code_deploy_url}
        return {"AWS_ENDPOINT_URL": self.endpoint_url, **elsewhere}

    def environment(self) -> dict[str, str]:
        """The environment variables that make an AWS SDK or the CDK CLI use the embedded cloud."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            **self.endpoints(),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def export_lines(self) -> str:
        """The same variables as `export` lines for a shell."""
        return "\n".join(f"export {name}={value}" for name, value in self.environment().items())
