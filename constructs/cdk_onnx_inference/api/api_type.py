"""Which of API Gateway's two kinds of API is in front of the function."""

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
    """HTTP or REST API. A change from one to the other replaces the API and changes its URL."""

    @staticmethod
    def http_api() -> HttpApiType:
        """The cheaper and faster kind, and the default. It waits 30 s for the function, which is a fixed limit.

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
        """The kind with API keys, usage plans and private endpoints, at 3.5 times the price.

        Args:
            stage_name: First segment of the URL's path: letters, digits and `_`. A change replaces the stage and
                changes the URL. Default: `live`.
            integration_timeout: How long the API waits for the function: 50 ms to 29 s, or up to the account's quota if
                that was raised (for Regional APIs such as this one up to 300 s, in exchange for a lower throttle). A
                change updates in place. Default: 29 seconds.
                https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html
            account_log_role: Whether to set the role with which API Gateway writes logs. There is one for the whole
                account and region, and it is retained when the stack is deleted. Without one, a REST API with access
                logs cannot be deployed. Default: no; the account's setting is not changed.
        """
        return RestApiType(
            stage_name=stage_name, integration_timeout=integration_timeout, account_log_role=account_log_role
        )


AnyApiType = HttpApiType | RestApiType
"""What the factories of `ApiType` return."""
