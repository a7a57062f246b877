"""Makes a load on an endpoint, and puts together what the client and the twin saw of it."""

import json
import threading
import time
from collections.abc import Callable

from onnx_inference.local.clock import Clock
from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud
from onnx_inference.local.endpoint import Endpoint
from onnx_inference.local.gateway.gateway import FUNCTION_URL
from onnx_inference.local.gateway.http_server import RequestRecord
from onnx_inference.local.lambda_host.host import LambdaHost
from onnx_inference.local.load.load_test import LoadError, LoadPlan, LoadResult, LoadTest
from onnx_inference.local.load.request_body import LoadRequest, inference_request, metadata_path, model_of

_PROGRESS_SECONDS = 0.25


class LoadRunner:
    """Runs loads.

    Args:
        cloud: Tells which model a function serves, and has the credentials to sign requests with.
        host: Has the records of environments and throttles.
        clock: The twin's clock.
        signed: Whether requests are signed.
    """

    def __init__(self, cloud: EmbeddedCloud, host: LambdaHost, clock: Clock, *, signed: bool) -> None:
        self._cloud = cloud
        self._host = host
        self._clock = clock
        self._signed = signed
        self._tests: list[LoadTest] = []

    def observe(self, record: RequestRecord) -> None:
        """Take the record of an answered request."""
        for test in list(self._tests):
            test.observe(record)

    def run(
        self,
        endpoint: Endpoint,
        plan: LoadPlan,
        *,
        request: LoadRequest | None,
        on_progress: Callable[[LoadTest], None] | None,
        interrupted: Callable[[], bool],
    ) -> LoadResult:
        """Send the requests. See `LocalTwin.load`."""
        if request is None:
            request = self._request_for(endpoint)
        test = self._test(endpoint, request, plan)
        stopped = threading.Event()
        runner = threading.Thread(
            target=test.run, args=(lambda: stopped.is_set() or interrupted(),), name="load", daemon=True
        )
        self._tests.append(test)
        started_at, began = self._clock.now(), time.perf_counter()
        try:
            runner.start()
            while runner.is_alive():
                runner.join(timeout=_PROGRESS_SECONDS)
                if on_progress is not None:
                    on_progress(test)
        finally:
            stopped.set()
            self._tests.remove(test)
        seconds, ended_at = time.perf_counter() - began, self._clock.now()
        names = tuple(sorted({function.name for function in endpoint.functions}))
        environments = [record for name in names for record in self._host.environment_records(name)]
        throttles = [t for name in names for t in self._host.throttles(name) if started_at <= t.at <= ended_at]
        return LoadResult(
            plan=plan,
            request=request,
            url=endpoint.url,
            functions=names,
            speed=self._clock.speed,
            started_at=started_at,
            ended_at=ended_at,
            seconds=seconds,
            samples=tuple(test.collected()),
            environments=tuple(e for e in environments if e.ended_at is None or e.ended_at >= started_at),
            throttles=tuple(throttles),
            late=test.late,
        )

    def _request_for(self, endpoint: Endpoint) -> LoadRequest:
        """An inference request for the model behind an endpoint, made of what the model says that it takes."""
        for function in endpoint.functions:
            deployed = self._cloud.functions.get(function)
            configuration = None if deployed is None else deployed.primary_configuration(function.qualifier)
            model = None if configuration is None else model_of(configuration.environment)
            if model is None:
                continue
            status, body = self._test(endpoint, LoadRequest(""), LoadPlan(1, 1)).fetch("GET", metadata_path(model))
            if status != 200:
                raise LoadError(f"The model {model} answered {status} when asked what it takes: {body[:300]!r}")
            self._host.forget_lone_requests(function.name)
            try:
                return inference_request(model, json.loads(body))
            except (KeyError, TypeError, ValueError) as error:
                raise LoadError(f"What the model {model} says that it takes cannot be sent: {error}") from error
        raise LoadError("No model is known behind the API: give a request by --body and --path.")

    def _test(self, endpoint: Endpoint, request: LoadRequest, plan: LoadPlan) -> LoadTest:
        service = "lambda" if endpoint.kind == FUNCTION_URL else "execute-api"
        credentials = self._cloud.credentials()
        return LoadTest(endpoint.url, request, plan, self._clock, credentials, service if self._signed else None)
