"""Which of API Gateway's two kinds of API stands before the function."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import Duration


@dataclass(frozen=True, slots=True)
class HttpApiType:
    """An HTTP API. See `ApiType.http_api`."""


@dataclass(frozen=True, slots=True)
class RestApiType:
    """A REST API. See `ApiType.rest_api`."""

    stage_name: str
    integration_timeout: Duration | None
    account_log_role: bool


class ApiType:
    """HTTP or REST API. Changing from one to the other replaces the API, and with it its URL."""

    @staticmethod
    def http_api() -> HttpApiType:
        """The cheaper and quicker kind, and the default. Waits 30 s for the function, a fixed limit.

        https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
        """
        return HttpApiType()

    @staticmethod
    def rest_api(
        *,
        stage_name: str = "live",
        integration_timeout: Duration | None = None,
        account_log_role: bool = False,
    ) -> RestApiType:
        """The kind with API keys, usage plans and request signing in private networks; 3.5 times the price.

        Args:
            stage_name: First segment of the URL's path: letters, digits and `_`. A change replaces the stage and
                changes the URL. Default: `live`.
            integration_timeout: How long the API waits for the function: 50 ms to 29 s, or up to the account's quota
                where that was raised (Regional APIs, such as this one, up to 300 s at the price of a lower throttle).
                Default: 29 seconds. https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
            account_log_role: Also sets the role by which API Gateway writes logs: one for the whole account and
                region, kept when the stack goes. A REST API with access logs cannot be deployed in an account that
                has none. Default: leaves the account's setting alone.
        """
        return RestApiType(
            stage_name=stage_name, integration_timeout=integration_timeout, account_log_role=account_log_role
        )


AnyApiType = HttpApiType | RestApiType
"""What the factories of `ApiType` return."""
