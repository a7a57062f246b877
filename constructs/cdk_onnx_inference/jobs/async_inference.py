"""Inference for which nobody waits on the line: a job is taken in, queued, worked on, and its result kept."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Annotations, Aws, Duration, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_pipes as pipes
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as scheduler_targets
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from cdk_onnx_inference import _environment, _permissions, _validation, _warnings
from cdk_onnx_inference.api._published_api import PublishedApi
from cdk_onnx_inference.api._routes import JOB_ROUTES
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType, ApiType
from cdk_onnx_inference.api.cors import Cors
from cdk_onnx_inference.api.inference_api import InferenceApi
from cdk_onnx_inference.api.throttle import Throttle
from cdk_onnx_inference.cold_start import _cold_start_validation, _init_phase
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.functions._live_function import Service
from cdk_onnx_inference.functions.inference_function import InferenceFunction
from cdk_onnx_inference.functions.service_function import ServiceFunction, variables
from cdk_onnx_inference.image import _image_context
from cdk_onnx_inference.models import _isolated_vpc, _model_objects, _served_models, _signature
from cdk_onnx_inference.removal import AnyRemoval, Destroy, Removal

from . import _job_notices_pipe, _job_queues, _job_roles, _job_store, _job_validation
from ._job_metrics import JobMetrics
from .job_api import JobApi
from .job_notices import AnyJobNotices

_LEAST_WORKER_TIMEOUT = 60
_MOST_CONCURRENT = 10
_JOB_API_MEMORY, _SMALL_MEMORY = 1024, 512
_JOB_API_TIMEOUT = 29
"""Seconds: less than what both kinds of API wait for, long polls of 25 s included."""
_SWEEP_EVERY = Duration.minutes(5)


class AsyncInference(JobMetrics):
    """Takes inference jobs in, works on them, and keeps what became of them.

    A job is submitted under `POST {url}/v2/models/{model}/jobs` with the body of an inference request, and asked for
    under its id; `docs/job-protocol.md` has the protocol. It makes:

    - a function that takes jobs in and answers for them, behind an API of its own or an `InferenceApi`,
    - a queue with a dead-letter queue, and a queue that keeps the messages of failed jobs so that they can be tried
      again,
    - the worker: the service's image, with the models, behind the queue,
    - a table with a record of each job, and a bucket for large requests and results,
    - functions that write what nobody else would: that a job was given up, or is past its deadline.

    So each job gets a final status, whatever happens to it: no job is pending for ever. All functions share the image
    of `function`, and each has a role of its own. Nothing here costs by the hour: there is neither a NAT gateway nor an
    interface endpoint.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything; the table and the bucket stay behind.
        function: Whose models. It goes on serving whoever waits; its image, models, processing, VPC and variables are
            the worker's too.
        api: An API to publish jobs on, beside its own routes and for the same callers. Default: an API of their own, as
            the next five arguments say, which are for that alone.
        api_type: As for `InferenceApi`.
        auth: As for `InferenceApi`. Default: IAM; see `grant_submit` and `grant_read`.
        throttle: As for `InferenceApi`.
        cors: As for `InferenceApi`.
        access_log_group: As for `InferenceApi`.
        memory_size: Of the worker, in MB, as for `InferenceFunction`. Default: that of `function`.
        timeout: Longest run of the worker, for all jobs of a batch together: 1 to 900 whole seconds. The queue's
            visibility timeout is 6 times as much, plus `batching_window`: after a crash, a job is tried again when it
            is over. A change publishes a new version and updates the queue in place. Default: that of `function`, but
            at least 60 seconds.
        cold_start: What is done about the worker's cold starts, as for `InferenceFunction`. Default: nothing.
        reserved_concurrent_executions: Most workers at once, taken from the account's pool; at least
            `max_concurrency`. Default: no reservation.
        max_concurrency: Most workers that the queue keeps busy, 2 to 1000. What is more waits in the queue, and neither
            takes the account's concurrency from others nor wears out attempts. A change updates in place. Default: 10,
            or what is reserved if that is less.
        batch_size: Most jobs that a worker is given at once, 1 to 10000; more than 10 need a `batching_window`. A
            change updates in place. Default: 10.
        batching_window: How long jobs are waited for to fill a batch, 0 to 300 whole seconds. A change updates in
            place. Default: 0, or 1 second if `batch_size` needs it.
        micro_batch_size: Most rows that the worker puts into one run of the model, 1 to 10000, for models whose rows do
            not depend on each other and have a free first dimension. Runs of several jobs are faster where the model
            gains from batches. A change publishes a new version. Default: 1, each job by itself.
        job_timeout: From a job's submission to its deadline, by which it is done or EXPIRED: at most 14 days, and at
            least `timeout`. Callers may ask for less. A change publishes new versions. Default: 1 hour, or as long as
            two attempts of a worker take that crashes, if that is longer.
        retention: How long after its deadline a job's record is kept, at most 3650 days; its payloads too, and up to
            two days more. A change publishes new versions; records that are there keep theirs. Default: 14 days, as
            long as the messages of failed jobs.
        queue: A standard queue that is there already. What can be checked is. Default: a new one.
        dead_letter_queue: The dead-letter queue of `queue`; its messages are consumed. Default: that of `queue`, if it
            is a queue of this app.
        table: A table that is there already, with the keys and the index that `docs/job-protocol.md` names.
            Default: a new one.
        bucket: A bucket that is there already; nobody then removes its payloads. Default: a new one.
        notices: Who is told that a job is finished. A change updates the pipe in place; the first adds a stream to the
            table. Default: nobody; callers ask.
        removal: What becomes of a new table and a new bucket with the stack. Default: `Removal.retain()`, with the
            table protected from deletion.

    Attributes:
        api: The API that jobs are published on, with its `url`.
        url: Base URL, beginning with https:// and without a slash at its end.
        job_api: The function that takes jobs in and answers for them.
        worker: The function that works on them.
        dead_letters: The function that records why jobs were given up.
        sweeper: The function that records which jobs are past their deadline.
        queue: Where jobs wait.
        dead_letter_queue: Where messages go that were tried too often; emptied by `dead_letters`.
        parked_queue: Where the messages of failed jobs are kept for 14 days, to be tried again.
        table: The records.
        bucket: Large requests and results.
        worker_event_source: Hands jobs to the worker; to stop all work, set its `Enabled` to false.
        dead_letters_event_source: Hands messages to `dead_letters`.
        schedule: Runs the sweeper, every 5 minutes.
        notices: The pipe, with `notices=`; else None.
        notices_role: Of the pipe; else None.
        job_timeout: From a job's submission to its deadline.

    Raises:
        InvalidInferenceConfig: With all problems: the codes of `InferenceApi` and of `ColdStart`, and
            `api-options`, `api-has-jobs`, `memory-size-range`, `memory-too-small`, `timeout-range`,
            `worker-timeout-unresolved`, `reserved-concurrency-range`, `max-concurrency-range`,
            `max-concurrency-over-reserved`, `batch-size-range`, `batching-window-range`, `batching-window-missing`,
            `micro-batch-size-range`, `job-timeout-range`, `job-timeout-too-short`, `job-retention-range`,
            `dead-letter-queue-alone`, `dead-letter-queue-missing`, `queue-fifo`, `queue-visibility-timeout`,
            `queue-receive-count`, `queue-retention`, `queue-message-size`, `table-misfit`, `table-stream-missing`,
            `environment-too-large`, `init-exceeds-timeout`, `reason-missing`.

    Warns, in CDK's way:
        `cdk-onnx-inference:existing-queue`, `cdk-onnx-inference:existing-table`, `cdk-onnx-inference:existing-bucket`,
        `cdk-onnx-inference:visibility-timeout`, `cdk-onnx-inference:no-second-attempt`,
        `cdk-onnx-inference:vpc-of-jobs`; of the worker, as for `InferenceFunction`: `cdk-onnx-inference:init-phase`,
        `cdk-onnx-inference:account-concurrency`.
    """

    api: InferenceApi | JobApi
    url: str
    job_api: ServiceFunction
    worker: ServiceFunction
    dead_letters: ServiceFunction
    sweeper: ServiceFunction
    queue: sqs.IQueue
    dead_letter_queue: sqs.IQueue
    parked_queue: sqs.Queue
    table: dynamodb.ITableV2
    bucket: s3.IBucket
    worker_event_source: lambda_.EventSourceMapping
    dead_letters_event_source: lambda_.EventSourceMapping
    schedule: scheduler.Schedule
    notices: pipes.CfnPipe | None
    notices_role: iam.Role | None
    job_timeout: Duration

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        function: InferenceFunction,
        api: InferenceApi | None = None,
        api_type: AnyApiType | None = None,
        auth: AnyApiAuth | None = None,
        throttle: Throttle | None = None,
        cors: Cors | None = None,
        access_log_group: logs.ILogGroup | None = None,
        memory_size: int | None = None,
        timeout: Duration | None = None,
        cold_start: ColdStart | None = None,
        reserved_concurrent_executions: int | None = None,
        max_concurrency: int | None = None,
        batch_size: int = 10,
        batching_window: Duration | None = None,
        micro_batch_size: int = 1,
        job_timeout: Duration | None = None,
        retention: Duration | None = None,
        queue: sqs.IQueue | None = None,
        dead_letter_queue: sqs.IQueue | None = None,
        table: dynamodb.ITableV2 | None = None,
        bucket: s3.IBucket | None = None,
        notices: AnyJobNotices | None = None,
        removal: AnyRemoval | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        service = function._service
        path = self.node.path
        timeout = _worker_timeout(function) if timeout is None else timeout
        cold_start = ColdStart.on_demand() if cold_start is None else cold_start
        memory_size = service.memory_size if memory_size is None else memory_size
        retention = Duration.days(14) if retention is None else retention
        removal = Removal.retain() if removal is None else removal
        if batching_window is None:
            batching_window = Duration.seconds(1 if _validation.is_number(batch_size) and batch_size > 10 else 0)
        if job_timeout is None:
            job_timeout = _job_timeout(timeout, batching_window)
        if max_concurrency is None:
            max_concurrency = _concurrency(reserved_concurrent_executions)

        problems = _job_validation.api_options(path, api, api_type, auth, throttle, cors, access_log_group)
        problems += _validation.memory_size(f"{path}.memory_size", memory_size) or _served_models.memory_size(
            f"{path}.memory_size", memory_size, service.models
        )
        wrong_timeout = _job_validation.worker_timeout(f"{path}.timeout", timeout)
        problems += wrong_timeout
        wrong_reserved = _validation.reserved_concurrent_executions(
            f"{path}.reserved_concurrent_executions", reserved_concurrent_executions
        )
        problems += wrong_reserved
        if not wrong_timeout and not wrong_reserved:
            problems += _cold_start_validation.check(
                f"{path}.cold_start",
                cold_start,
                timeout=timeout,
                reserved=reserved_concurrent_executions,
                on_file_system=service.mount is not None,
                storage=service.ephemeral_storage_size,
                region=Stack.of(self).region,
                account_concurrency=_cold_start_validation.account_concurrency(self),
            )
        problems += _cold_start_validation.event_source_concurrency(
            f"{path}.max_concurrency", max_concurrency, None if wrong_reserved else reserved_concurrent_executions
        )
        wrong_batch = _job_validation.batch(path, batch_size, batching_window)
        problems += wrong_batch
        problems += _job_validation.micro_batch(path, micro_batch_size)
        wrong_times = _job_validation.times(path, timeout, job_timeout, retention)
        problems += wrong_times
        found, unchecked_queue, advice = _job_queues.check_existing(
            path,
            queue,
            dead_letter_queue,
            timeout=None if wrong_timeout else timeout,
            window=None if wrong_batch else batching_window,
            job_timeout=None if wrong_times else job_timeout,
        )
        problems += found
        unchecked_table: list[str] = []
        if table is not None:
            found, unchecked_table = _job_store.check_table(f"{path}.table", table, with_stream=notices is not None)
            problems += found
        if isinstance(removal, Destroy):
            problems += _validation.reason(f"{path}.removal", removal.reason)
        for_all = {
            _environment.JOB_TIMEOUT: "" if wrong_times else str(int(job_timeout.to_seconds())),
            _environment.JOB_RETENTION: "" if wrong_times else str(int(retention.to_seconds())),
            _environment.MICRO_BATCH_SIZE: str(micro_batch_size),
        }
        problems += _served_models.environment_size(
            f"{path}.function",
            _model_objects.environment_length(
                self,
                {
                    **variables(service, for_all, with_models=True),
                    _environment.JOBS_TABLE_NAME: "",
                    _environment.PAYLOAD_BUCKET_NAME: "",
                },
            ),
        )
        if not problems:
            problems += _init_phase.check(
                f"{path}.function",
                cold_start,
                service.models,
                memory_size=memory_size,
                timeout=timeout,
                in_vpc=service.vpc is not None,
            )
        if problems:
            raise InvalidInferenceConfig(problems)

        queues = _job_queues.make(
            self,
            visibility=_job_queues.visibility_timeout(timeout, batching_window),
            queue=queue,
            dead_letters=dead_letter_queue or (None if queue is None else _job_queues.dead_letters_of(queue)),
        )
        self._metrics_namespace = service.metrics_namespace
        self.queue, self.dead_letter_queue, self.parked_queue = queues.queue, queues.dead_letters, queues.parked
        self.table = table or _job_store.make_table(self, removal=removal, with_stream=notices is not None)
        self.bucket = bucket or _job_store.make_bucket(
            self, removal=removal, job_timeout=job_timeout, retention=retention
        )
        del for_all[_environment.MICRO_BATCH_SIZE]
        for_all[_environment.JOBS_TABLE_NAME] = self.table.table_name
        payloads = {_environment.PAYLOAD_BUCKET_NAME: self.bucket.bucket_name}

        self.worker = ServiceFunction(
            self,
            "Worker",
            service=service,
            command=_image_context.QUEUE_HANDLER,
            description="Works on inference jobs",
            with_models=True,
            takes_events=True,
            memory_size=memory_size,
            timeout=timeout,
            environment={**for_all, **payloads, _environment.MICRO_BATCH_SIZE: str(micro_batch_size)},
            policies=_job_roles.of_the_worker(self.table, self.bucket, queues),
            cold_start=cold_start,
            reserved_concurrent_executions=reserved_concurrent_executions,
        )
        self.job_api = self._function(
            "JobApi",
            service,
            command=_image_context.JOB_API_HANDLER,
            description="Takes inference jobs in, and answers for them",
            memory_size=_JOB_API_MEMORY,
            timeout=_job_api_timeout(api, api_type),
            environment={
                **for_all,
                **payloads,
                **_signatures(service),
                _environment.JOBS_QUEUE_URL: self.queue.queue_url,
            },
            policies=_job_roles.of_the_job_api(self.table, self.bucket, queues),
        )
        self.dead_letters = self._function(
            "DeadLetters",
            service,
            command=_image_context.DEAD_LETTERS_HANDLER,
            description="Records why inference jobs were given up",
            memory_size=_SMALL_MEMORY,
            timeout=_job_queues.DEAD_LETTERS_TIMEOUT,
            environment={**for_all, _environment.PARKED_QUEUE_URL: self.parked_queue.queue_url},
            policies=_job_roles.of_the_dead_letters(self.table, queues),
        )
        self.sweeper = self._function(
            "Sweeper",
            service,
            command=_image_context.SWEEP_HANDLER,
            description="Records which inference jobs are past their deadline",
            memory_size=_SMALL_MEMORY,
            timeout=Duration.minutes(1),
            environment=for_all,
            policies=_job_roles.of_the_sweeper(self.table),
        )

        self.job_timeout = job_timeout
        self.worker_event_source = lambda_.EventSourceMapping(
            self,
            "WorkerEventSource",
            target=self.worker.alias,
            event_source_arn=self.queue.queue_arn,
            batch_size=batch_size,
            max_batching_window=batching_window if batching_window.to_seconds() else None,
            max_concurrency=max_concurrency,
            report_batch_item_failures=True,
        )
        self.dead_letters_event_source = lambda_.EventSourceMapping(
            self,
            "DeadLettersEventSource",
            target=self.dead_letters.alias,
            event_source_arn=self.dead_letter_queue.queue_arn,
            batch_size=10,
            max_concurrency=2,
            report_batch_item_failures=True,
        )
        self.schedule = self._sweep()
        self.api = self._publish(api, api_type, auth, throttle, cors, access_log_group)
        self.url = self.api.url
        self.notices = self.notices_role = None
        if notices is not None:
            assert self.table.table_stream_arn is not None
            pipe = _job_notices_pipe.build(self, notices=notices, stream_arn=self.table.table_stream_arn)
            self.notices, self.notices_role = pipe.pipe, pipe.role

        self._warn(unchecked_queue, unchecked_table, bucket)
        for text in advice:
            Annotations.of(self).add_warning_v2(_warnings.VISIBILITY_TIMEOUT, text)
        self._warn_of_times(queue, timeout, batching_window, job_timeout)
        self._reach_dynamodb(service)
        slow = _init_phase.warning(cold_start, service.models, memory_size=memory_size, timeout=timeout)
        if slow is not None:
            Annotations.of(self.worker).add_warning_v2(_warnings.INIT_PHASE, slow)
        _cold_start_validation.warn_of_account(
            self.worker,
            cold_start,
            reserved_concurrent_executions,
            _cold_start_validation.account_concurrency(self),
        )

    def grant_submit(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` submit jobs: by the API, if callers identify themselves with IAM, and on the queue itself."""
        routes = [(method, path) for method, path in JOB_ROUTES if method in ("POST", "PUT")]
        return _all(
            self.api._grant_routes(grantee, _patterns(routes)),
            self._allow(grantee, _permissions.SEND_MESSAGES, self.queue.queue_arn),
            self._allow(grantee, _permissions.WRITE_OBJECTS, self.bucket.arn_for_objects(_job_store.REQUESTS)),
        )

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` read jobs and results: by the API, if its callers use IAM, and where they are kept."""
        routes = [(method, path) for method, path in JOB_ROUTES if method == "GET"]
        return _all(
            self.api._grant_routes(grantee, _patterns(routes)),
            self._allow(grantee, _permissions.READ_JOBS, self.table.table_arn),
            self._allow(grantee, _permissions.READ_OBJECTS, self.bucket.arn_for_objects(_job_store.RESULTS)),
        )

    def grant_cancel(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` cancel jobs, by the API, where callers identify themselves with IAM."""
        return self.api._grant_routes(grantee, _patterns([route for route in JOB_ROUTES if route[0] == "DELETE"]))

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Lets `grantee` send the messages of failed jobs to the queue again: `onnx-inference redrive`."""
        return _all(
            self._allow(grantee, _permissions.MOVE_MESSAGES, self.parked_queue.queue_arn),
            self._allow(grantee, _permissions.SEND_MESSAGES, self.queue.queue_arn),
            self._allow(grantee, _permissions.READ_JOBS, self.table.table_arn),
        )

    def _function(
        self,
        construct_id: str,
        service: Service,
        *,
        command: str,
        description: str,
        memory_size: int,
        timeout: Duration,
        environment: dict[str, str],
        policies: _job_roles.Policies,
    ) -> ServiceFunction:
        """One that neither loads the models nor is where they are."""
        return ServiceFunction(
            self,
            construct_id,
            service=service,
            command=command,
            description=description,
            with_models=False,
            takes_events=command == _image_context.DEAD_LETTERS_HANDLER,
            memory_size=memory_size,
            timeout=timeout,
            environment=environment,
            policies=policies,
        )

    def _sweep(self) -> scheduler.Schedule:
        role = iam.Role(
            self,
            "SweepRole",
            assumed_by=iam.PrincipalWithConditions(
                iam.ServicePrincipal("scheduler.amazonaws.com"),
                {
                    "StringEquals": {
                        "aws:SourceAccount": Aws.ACCOUNT_ID,
                        "aws:SourceArn": Stack.of(self).format_arn(
                            service="scheduler", resource="schedule-group", resource_name="default"
                        ),
                    }
                },
            ),
            description=f"Runs {self.sweeper.node.path}",
            inline_policies={
                "Invoke": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(actions=[*_permissions.INVOKE], resources=[self.sweeper.alias.function_arn])
                    ]
                )
            },
        )
        return scheduler.Schedule(
            self,
            "Schedule",
            schedule=scheduler.ScheduleExpression.rate(_SWEEP_EVERY),
            target=scheduler_targets.LambdaInvoke(
                self.sweeper.alias,
                input=scheduler.ScheduleTargetInput.from_text("{}"),
                retry_attempts=2,
                max_event_age=_SWEEP_EVERY,
                role=role.without_policy_updates(),
            ),
            description=f"Finds jobs of {self.node.path} that are past their deadline",
        )

    def _publish(
        self,
        api: InferenceApi | None,
        api_type: AnyApiType | None,
        auth: AnyApiAuth | None,
        throttle: Throttle | None,
        cors: Cors | None,
        access_log_group: logs.ILogGroup | None,
    ) -> InferenceApi | JobApi:
        if api is not None:
            api._add_routes("Jobs", self.job_api.alias, JOB_ROUTES)
            return api
        return JobApi(
            self,
            "Api",
            function=self.job_api,
            api_type=api_type,
            auth=auth,
            throttle=throttle,
            cors=cors,
            access_log_group=access_log_group,
        )

    def _reach_dynamodb(self, service: Service) -> None:
        if service.vpc is None:
            return
        if service.mount is not None and _isolated_vpc.reach_dynamodb(service.vpc, owner=service.mount):
            return
        Annotations.of(self).add_warning_v2(
            _warnings.VPC_OF_JOBS,
            "The worker runs in a VPC of your own. It must reach DynamoDB and S3 from there, at best by their gateway "
            "endpoints, which cost nothing; it needs neither a NAT gateway nor an interface endpoint.",
        )

    def _warn(self, queue: list[str], table: list[str], bucket: s3.IBucket | None) -> None:
        if queue:
            Annotations.of(self).add_warning_v2(
                _warnings.EXISTING_QUEUE,
                f"An imported queue is not known at synth. See that {_listed(queue)}.",
            )
        if table:
            Annotations.of(self).add_warning_v2(
                _warnings.EXISTING_TABLE,
                f"The table is not known in full at synth. See that {_listed(table)}.",
            )
        if bucket is not None:
            Annotations.of(self).add_warning_v2(
                _warnings.EXISTING_BUCKET,
                "Of a bucket that is there already nothing is checked. See that it blocks public access, refuses "
                "connections without TLS, and expires what is below jobs/ after job_timeout and retention together.",
            )

    def _warn_of_times(
        self, queue: sqs.IQueue | None, timeout: Duration, window: Duration, job_timeout: Duration
    ) -> None:
        visibility = _job_queues.visibility_timeout(timeout, window).to_seconds()
        if queue is not None or job_timeout.to_seconds() > visibility:
            return
        Annotations.of(self).add_warning_v2(
            _warnings.NO_SECOND_ATTEMPT,
            f"An attempt that crashes is repeated after {visibility:g} s, 6 times the worker's timeout plus the "
            f"batching window, but jobs expire after {job_timeout.to_seconds():g} s: each is tried once. Give jobs a "
            "longer job_timeout, or the worker a shorter timeout.",
        )

    @staticmethod
    def _allow(grantee: iam.IGrantable, actions: tuple[str, ...], resource: str) -> iam.Grant:
        return iam.Grant.add_to_principal(grantee=grantee, actions=[*actions], resource_arns=[resource])


def _worker_timeout(function: InferenceFunction) -> Duration:
    timeout = function.timeout
    if timeout.is_unresolved() or timeout.to_seconds() > _LEAST_WORKER_TIMEOUT:
        return timeout
    return Duration.seconds(_LEAST_WORKER_TIMEOUT)


def _job_timeout(timeout: Duration, window: Duration) -> Duration:
    attempt, waited = _job_validation.seconds(timeout), _job_validation.seconds(window)
    if attempt is None or waited is None:
        return Duration.hours(1)  # one of these is wrong, and reported
    return Duration.seconds(max(3600, 2 * (6 * attempt + waited)))


def _concurrency(reserved: float | None) -> int:
    if reserved is None or not _validation.is_number(reserved):
        return _MOST_CONCURRENT
    return max(2, min(_MOST_CONCURRENT, int(reserved)))


def _job_api_timeout(api: InferenceApi | None, api_type: AnyApiType | None) -> Duration:
    """What the API waits for, in whole seconds, so that a long poll ends before it gives the client up."""
    waits = api._waits if api is not None else PublishedApi._waits_of(api_type or ApiType.http_api())
    if waits.is_unresolved():
        return Duration.seconds(_JOB_API_TIMEOUT)
    return Duration.seconds(max(1, min(_JOB_API_TIMEOUT, int(waits.to_milliseconds()) // 1000)))


def _signatures(service: Service) -> dict[str, str]:
    """Nothing, where not even the models' names are known at synth: then any model may be asked for."""
    if service.signatures == _signature.as_json([]):
        return {}
    return {_environment.MODEL_SIGNATURES: _signature.SIGNATURES}


def _patterns(routes: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Routes as IAM writes them. An asterisk also stands for several segments, so those with a version are implied."""
    return [
        (method, path.replace("{model}", "*").replace("{job}", "*"))
        for method, path in routes
        if "/versions/" not in path
    ]


def _all(grant: iam.Grant, *others: iam.Grant) -> iam.Grant:
    for other in others:
        grant = grant.combine(other)
    return grant


def _listed(texts: Sequence[str]) -> str:
    return "; ".join(texts)
