"""Asynchronous inference: a job is accepted and queued, a worker runs it, and its result is kept."""

from __future__ import annotations

from aws_cdk import Annotations, Duration
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
from cdk_onnx_inference._scheduler_role import scheduler_role
from cdk_onnx_inference.api._routes import JOB_ROUTES
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.api.cors import Cors
from cdk_onnx_inference.api.inference_api import InferenceApi
from cdk_onnx_inference.api.throttle import Throttle
from cdk_onnx_inference.cold_start import _cold_start_validation, _concurrency, _init_phase, _provisioned_validation
from cdk_onnx_inference.cold_start.cold_start import ColdStart
from cdk_onnx_inference.errors import InvalidInferenceConfig
from cdk_onnx_inference.functions._live_function import Service
from cdk_onnx_inference.functions.inference_function import InferenceFunction
from cdk_onnx_inference.functions.service_function import ServiceFunction, variables
from cdk_onnx_inference.image import _commands
from cdk_onnx_inference.models import _model_environment, _model_needs, _network, _signature
from cdk_onnx_inference.removal import AnyRemoval, Destroy, Removal

from . import _defaults, _job_validation, _notices_pipe, _policies, _queues, _store
from ._metrics import JobMetrics
from .job_api import JobApi, JobApiOptions
from .job_notices import AnyJobNotices

_JOB_API_MEMORY, _SMALL_MEMORY = 1024, 512
_SWEEP_EVERY = Duration.minutes(5)


class AsyncInference(JobMetrics):
    """Accepts inference jobs, runs them, and keeps their results.

    A job is submitted with `POST {url}/v2/models/{model}/jobs` and the body of an inference request. Its status and its
    result are read by its id. `docs/job-protocol.md` describes the protocol. The construct makes:

    - a function that accepts jobs and answers questions about them, behind an API of its own or an `InferenceApi`,
    - a queue with a dead-letter queue, and a queue that keeps the messages of failed jobs, so that they can be sent
      again,
    - the worker: the service's image with the models, fed by the queue,
    - a table with a record of each job, and a bucket for large requests and results,
    - functions that record what the worker cannot: that a job was given up, or is past its deadline.

    So every job gets a final status, whatever happens to it. All functions share the image of `function`, and each has
    its own role. Nothing here is billed by the hour: there is no NAT gateway and no interface endpoint.

    Args:
        scope: The parent.
        construct_id: Its id in the parent. A change replaces everything; the old table and bucket are retained.
        function: The inference function with the models. It continues to serve synchronous requests. The worker has the
            same image, models, processing, VPC and environment variables.
        api: An existing API to publish jobs on, for the same callers. Default: a new API with the options of the next
            five arguments, which are for a new API only.
        api_type: As for `InferenceApi`.
        auth: As for `InferenceApi`. Default: IAM; see `grant_submit` and `grant_read`.
        throttle: As for `InferenceApi`.
        cors: As for `InferenceApi`.
        access_log_group: As for `InferenceApi`.
        memory_size: The worker's memory in MB, as for `InferenceFunction`. Default: that of `function`.
        timeout: Longest run of the worker, for all jobs of a batch together: 1 to 900 whole seconds. The visibility
            timeout of the queue is 6 times as long, plus `batching_window`; after a crash a job is tried again when it
            ends. A change publishes a new version and updates the queue in place. Default: that of `function`, but at
            least 60 seconds.
        cold_start: What is done about the worker's cold starts, as for `InferenceFunction`. Default: nothing.
        reserved_concurrent_executions: Most workers at once, reserved from the account's concurrency; at least
            `max_concurrency`. Default: no reservation.
        max_concurrency: Most workers that the queue invokes at once, 2 to 1000. Other jobs wait in the queue. They
            neither use up the account's concurrency nor count as failed attempts. A change updates in place. Default:
            10, or what is reserved if that is less.
        batch_size: Most jobs that a worker gets at once, 1 to 10000. More than 10 need a `batching_window`. A change
            updates in place. Default: 10.
        batching_window: How long Lambda waits for jobs to fill a batch, 0 to 300 whole seconds. A change updates in
            place. Default: 0, or 1 second if `batch_size` needs it.
        micro_batch_size: Most rows that the worker puts into one run of the model, 1 to 10000. For models with a free
            first dimension and rows that do not depend on each other. It makes jobs faster if the model is faster with
            batches. A change publishes a new version. Default: 1, each job by itself.
        job_timeout: Time from a job's submission to its deadline, at which a job that is not done becomes EXPIRED: at
            least `timeout` and at most 14 days. Callers may ask for less. A change publishes new versions. Default: 1
            hour, or the time of two attempts that crash if that is longer.
        retention: How long a job's record is kept after the deadline, at most 3650 days. Requests and results in the
            bucket are kept up to two days longer. A change publishes new versions; existing records keep their
            retention. Default: 14 days, as long as the messages of failed jobs.
        queue: An existing standard queue. It is checked as far as synth knows it. Default: a new one.
        dead_letter_queue: The dead-letter queue of `queue`. Its messages are consumed. Default: the one that `queue`
            names, if it is a queue of this app.
        table: An existing table, with the keys and the index that `docs/job-protocol.md` describes. Default: a new
            one.
        bucket: An existing bucket. Requests and results in it are not deleted. Default: a new one.
        notices: Who is told that a job is finished. A change updates the pipe in place; the first notices add a stream
            to the table. Default: nobody; callers ask.
        removal: What happens to a new table and a new bucket when the stack is deleted. Default: `Removal.retain()`,
            and the table has deletion protection.

    Attributes:
        api: The API that jobs are published on.
        url: Base URL of the API, beginning with https:// and without a slash at its end.
        job_api: The function that accepts jobs and answers questions about them.
        worker: The function that runs jobs.
        dead_letters: The function that records why jobs were given up.
        sweeper: The function that records which jobs are past their deadline.
        queue: Where jobs wait.
        dead_letter_queue: Where messages go that were received too often. `dead_letters` empties it.
        parked_queue: Where the messages of failed jobs are kept for 14 days, so that they can be sent again.
        table: The table with the records.
        bucket: The bucket with large requests and results.
        worker_event_source: Passes jobs to the worker. To stop all work, set its `Enabled` to false.
        dead_letters_event_source: Passes messages to `dead_letters`.
        schedule: Runs the sweeper every 5 minutes.
        notices: The pipe, with `notices=`; else None.
        notices_role: The pipe's role; else None.
        job_timeout: Time from a job's submission to its deadline.

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
        `cdk-onnx-inference:vpc-of-jobs`. About the worker, as `InferenceFunction`: `cdk-onnx-inference:init-phase`,
        `cdk-onnx-inference:account-concurrency`.
    """

    api: InferenceApi | JobApi
    url: str
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
        timeout = _defaults.worker_timeout(function) if timeout is None else timeout
        cold_start = ColdStart.on_demand() if cold_start is None else cold_start
        memory_size = service.memory_size if memory_size is None else memory_size
        retention = Duration.days(14) if retention is None else retention
        removal = Removal.retain() if removal is None else removal
        if batching_window is None:
            batching_window = _defaults.batching_window(batch_size)
        if job_timeout is None:
            job_timeout = _defaults.job_timeout(timeout, batching_window)
        if max_concurrency is None:
            max_concurrency = _defaults.max_concurrency(reserved_concurrent_executions)
        api_options = JobApiOptions(
            api_type=api_type, auth=auth, throttle=throttle, cors=cors, access_log_group=access_log_group
        )

        problems = _job_validation.api_options(path, api, api_options)
        problems += _validation.memory_size(f"{path}.memory_size", memory_size) or _model_needs.memory_size(
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
                self,
                cold_start,
                timeout=timeout,
                reserved=reserved_concurrent_executions,
                on_file_system=service.mount is not None,
                storage=service.ephemeral_storage_size,
            )
        problems += _concurrency.of_event_source(
            f"{path}.max_concurrency", max_concurrency, None if wrong_reserved else reserved_concurrent_executions
        )
        wrong_batch = _job_validation.batch(path, batch_size, batching_window)
        problems += wrong_batch
        problems += _job_validation.micro_batch(path, micro_batch_size)
        wrong_times = _job_validation.times(path, timeout, job_timeout, retention)
        problems += wrong_times
        found, warnings = _queues.check_existing(
            path,
            queue,
            dead_letter_queue,
            timeout=None if wrong_timeout else timeout,
            window=None if wrong_batch else batching_window,
            job_timeout=None if wrong_times else job_timeout,
        )
        problems += found
        if table is not None:
            found, unchecked = _store.check_table(f"{path}.table", table, with_stream=notices is not None)
            problems += found
            warnings += unchecked
        if isinstance(removal, Destroy):
            problems += _validation.reason(f"{path}.removal", removal.reason)
        times = {
            _environment.JOB_TIMEOUT: "" if wrong_times else str(int(job_timeout.to_seconds())),
            _environment.JOB_RETENTION: "" if wrong_times else str(int(retention.to_seconds())),
        }
        batching = {_environment.MICRO_BATCH_SIZE: str(micro_batch_size)}
        names = {_environment.JOBS_TABLE_NAME: "", _environment.PAYLOAD_BUCKET_NAME: ""}
        problems += _model_environment.check_size(
            f"{path}.function", self, variables(service, {**times, **batching, **names}, with_models=True)
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

        self.job_timeout = job_timeout
        self._metrics_namespace = service.metrics_namespace
        queues = _queues.make(
            self,
            visibility=_queues.visibility_timeout(timeout, batching_window),
            queue=queue,
            dead_letters=dead_letter_queue,
        )
        self.queue, self.dead_letter_queue, self.parked_queue = queues.queue, queues.dead_letters, queues.parked
        self.table = table or _store.make_table(self, removal=removal, with_stream=notices is not None)
        self.bucket = bucket or _store.make_bucket(self, removal=removal, job_timeout=job_timeout, retention=retention)
        records = {**times, _environment.JOBS_TABLE_NAME: self.table.table_name}
        payloads = {_environment.PAYLOAD_BUCKET_NAME: self.bucket.bucket_name}

        self.worker = ServiceFunction(
            self,
            "Worker",
            service=service,
            command=_commands.QUEUE,
            description="Works on inference jobs",
            with_models=True,
            takes_events=True,
            memory_size=memory_size,
            timeout=timeout,
            environment={**records, **payloads, **batching},
            policies=_policies.worker(self.table, self.bucket, queues),
            cold_start=cold_start,
            reserved_concurrent_executions=reserved_concurrent_executions,
        )
        self.job_api = ServiceFunction(
            self,
            "JobApi",
            service=service,
            command=_commands.JOB_API,
            description="Takes inference jobs in, and answers for them",
            memory_size=_JOB_API_MEMORY,
            timeout=_defaults.job_api_timeout(api, api_type),
            environment={
                **records,
                **payloads,
                **_signatures(service),
                _environment.JOBS_QUEUE_URL: self.queue.queue_url,
            },
            policies=_policies.job_api(self.table, self.bucket, queues),
        )
        self.dead_letters = ServiceFunction(
            self,
            "DeadLetters",
            service=service,
            command=_commands.DEAD_LETTERS,
            description="Records why inference jobs were given up",
            takes_events=True,
            memory_size=_SMALL_MEMORY,
            timeout=_queues.DEAD_LETTERS_TIMEOUT,
            environment={**records, _environment.PARKED_QUEUE_URL: self.parked_queue.queue_url},
            policies=_policies.dead_letters(self.table, queues),
        )
        self.sweeper = ServiceFunction(
            self,
            "Sweeper",
            service=service,
            command=_commands.SWEEP,
            description="Records which inference jobs are past their deadline",
            memory_size=_SMALL_MEMORY,
            timeout=Duration.minutes(1),
            environment=records,
            policies=_policies.sweeper(self.table),
        )

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
        self.api = self._publish(api, api_options)
        self.url = self.api.url
        self.notices = self.notices_role = None
        if notices is not None:
            assert self.table.table_stream_arn is not None
            pipe = _notices_pipe.build(self, notices=notices, stream_arn=self.table.table_stream_arn)
            self.notices, self.notices_role = pipe.pipe, pipe.role

        if bucket is not None:
            warnings.append(_store.UNCHECKED_BUCKET)
        if queue is None:
            warnings += _job_validation.second_attempt(timeout, batching_window, job_timeout)
        for warning_id, text in warnings:
            Annotations.of(self).add_warning_v2(warning_id, text)
        self._reach_dynamodb(service)
        _init_phase.warn(self.worker, cold_start, service.models, memory_size=memory_size, timeout=timeout)
        _provisioned_validation.warn_of_account(self.worker, cold_start, reserved_concurrent_executions)

    def grant_submit(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allows `grantee` to submit jobs: through the API, if its callers use IAM, and directly to the queue."""
        return _combined(
            self._grant_routes(grantee, "POST", "PUT"),
            _allow(grantee, _permissions.SEND_MESSAGES, self.queue.queue_arn),
            _allow(grantee, _permissions.WRITE_OBJECTS, self.bucket.arn_for_objects(_store.REQUESTS)),
        )

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allows `grantee` to read jobs and results: through the API, if its callers use IAM, and directly."""
        return _combined(
            self._grant_routes(grantee, "GET"),
            _allow(grantee, _permissions.READ_JOBS, self.table.table_arn),
            _allow(grantee, _permissions.READ_OBJECTS, self.bucket.arn_for_objects(_store.RESULTS)),
        )

    def grant_cancel(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allows `grantee` to cancel jobs through the API, if its callers use IAM."""
        return self._grant_routes(grantee, "DELETE")

    def grant_redrive(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allows `grantee` to send the messages of failed jobs to the queue again: `onnx-inference redrive`."""
        return _combined(
            _allow(grantee, _permissions.MOVE_MESSAGES, self.parked_queue.queue_arn),
            _allow(grantee, _permissions.SEND_MESSAGES, self.queue.queue_arn),
            _allow(grantee, _permissions.READ_JOBS, self.table.table_arn),
        )

    def _grant_routes(self, grantee: iam.IGrantable, *methods: str) -> iam.Grant:
        return self.api._grant_routes(grantee, [route for route in JOB_ROUTES if route[0] in methods])

    def _sweep(self) -> scheduler.Schedule:
        role = scheduler_role(self, "SweepRole", alias=self.sweeper.alias, description=f"Runs {self.sweeper.node.path}")
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

    def _publish(self, api: InferenceApi | None, options: JobApiOptions) -> InferenceApi | JobApi:
        if api is None:
            return JobApi(self, "Api", function=self.job_api, **options)
        api._add_routes("Jobs", self.job_api.alias, JOB_ROUTES)
        return api

    def _reach_dynamodb(self, service: Service) -> None:
        if service.vpc is None:
            return
        if service.mount is not None and _network.reach_dynamodb(service.vpc, owner=service.mount):
            return
        Annotations.of(self).add_warning_v2(
            _warnings.VPC_OF_JOBS,
            "The worker runs in a VPC of your own. It must reach DynamoDB and S3 from there, preferably through their "
            "gateway endpoints, which cost nothing. It needs neither a NAT gateway nor an interface endpoint.",
        )


def _signatures(service: Service) -> dict[str, str]:
    """The variable that names the file with the signatures, unless the file says nothing."""
    if service.signatures == _signature.UNKNOWN:
        return {}
    return {_environment.MODEL_SIGNATURES: _signature.SIGNATURES}


def _allow(grantee: iam.IGrantable, actions: tuple[str, ...], resource: str) -> iam.Grant:
    return iam.Grant.add_to_principal(grantee=grantee, actions=[*actions], resource_arns=[resource])


def _combined(grant: iam.Grant, *others: iam.Grant) -> iam.Grant:
    for other in others:
        grant = grant.combine(other)
    return grant
