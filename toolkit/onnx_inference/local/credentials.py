"""The dummy credentials by which everything talks to the embedded cloud."""

from dataclasses import dataclass

SECRET_ACCESS_KEY = "onnx-inference-local"


@dataclass(frozen=True)
class LocalCredentials:
    """Where the embedded cloud listens, and the credentials it knows.

    The access key is the account id: that is how the embedded cloud tells accounts apart.
    """

    endpoint_url: str
    account: str
    region: str

    @property
    def access_key_id(self) -> str:
        """The access key that stands for the account."""
        return self.account

    @property
    def secret_access_key(self) -> str:
        """The one secret of the embedded cloud; signatures at its endpoints are checked against it."""
        return SECRET_ACCESS_KEY

    def environment(self) -> dict[str, str]:
        """The variables that point any AWS SDK or the CDK CLI at the embedded cloud."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def export_lines(self) -> str:
        """The same as lines for a shell."""
        return "\n".join(f"export {name}={value}" for name, value in self.environment().items())
