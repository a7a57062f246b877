"""What an API writes to its access log: one line of JSON for each request.

Headers and query strings are left out: they may hold credentials. The names are those of API Gateway's variables:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-logging-variables.html
https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-variables-for-access-logging.html
"""

from __future__ import annotations

import json

_BOTH = {
    "requestId": "$context.requestId",
    "requestTime": "$context.requestTime",
    "sourceIp": "$context.identity.sourceIp",
    "method": "$context.httpMethod",
    "path": "$context.path",
    "protocol": "$context.protocol",
    "status": "$context.status",
    "responseLength": "$context.responseLength",
    "responseLatency": "$context.responseLatency",
    "integrationLatency": "$context.integrationLatency",
    "integrationStatus": "$context.integrationStatus",
    "caller": "$context.identity.userArn",
}

HTTP_API_FORMAT = json.dumps(
    {
        **_BOTH,
        "routeKey": "$context.routeKey",
        "error": "$context.error.message",
        "integrationError": "$context.integrationErrorMessage",
    }
)
"""For an HTTP API. All values are strings; latencies are in milliseconds."""

REST_API_FORMAT = json.dumps(
    {
        **_BOTH,
        "resourcePath": "$context.resourcePath",
        "error": "$context.error.message",
        "integrationError": "$context.integrationErrorMessage",
        "apiKeyId": "$context.identity.apiKeyId",
    }
)
"""For a REST API."""
