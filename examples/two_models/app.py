"""Two models behind one API, each with a function of its own: memory, cold start and versions are separate.

Clients have one address: `/v2/models/digits/...` and, on the same API, `/v2/models/language/...`. The function of the
first model answers all routes of the protocol, also `/v2/health/ready`. The routes of the second name its model where
those of the first have the variable `{model}`, and API Gateway prefers the more specific route.

Models that may share memory and always change together need only one function, with a list of models:
`InferenceFunction(..., model=[ModelSource..., ModelSource...])`.
"""

from pathlib import Path

from aws_cdk import App, Stack
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations

from cdk_onnx_inference import InferenceApi, InferenceFunction, ModelSource, Processing

EXAMPLES = Path(__file__).resolve().parents[1]

app = App()
stack = Stack(app, "Readers")
digits = InferenceFunction(
    stack, "Digits", model=ModelSource.in_image(EXAMPLES / "digits" / "model.onnx", name="digits")
)
language = InferenceFunction(
    stack,
    "Language",
    model=ModelSource.in_image(EXAMPLES / "language" / "model.onnx", name="language"),
    processing=Processing(EXAMPLES / "language" / "processing.py"),
    memory_size=3008,
)
published = InferenceApi(stack, "Api", function=digits)

assert isinstance(published.api, apigatewayv2.HttpApi)  # the default kind; `api` is the resource itself
of_language = integrations.HttpLambdaIntegration("Language", language.alias)
for method, path in (
    (apigatewayv2.HttpMethod.GET, "/v2/models/language"),
    (apigatewayv2.HttpMethod.GET, "/v2/models/language/ready"),
    (apigatewayv2.HttpMethod.POST, "/v2/models/language/infer"),
):
    published.api.add_routes(
        path=path, methods=[method], integration=of_language, authorizer=authorizers.HttpIamAuthorizer()
    )
app.synth()
