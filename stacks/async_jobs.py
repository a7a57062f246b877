"""A model behind an API for those who wait, and behind a queue for those who do not."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from cdk_onnx_inference import (
    AsyncInference,
    ColdStart,
    InferenceApi,
    InferenceFunction,
    JobNotices,
    ModelFileSystem,
    ModelS3Files,
    ModelSource,
    Processing,
)
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.jobs.job_notices import AnyJobNotices
from cdk_onnx_inference.removal import AnyRemoval

from .acknowledgements import acknowledge, acknowledge_file_system, acknowledge_jobs
from .large_model import Source, stored


class Notices(StrEnum):
    """Who is told of finished jobs."""

    TOPIC = "topic"
    """Subscribers of a topic that the stack makes."""

    EVENT_BUS = "event-bus"
    """Rules of the account's default event bus."""


class AsyncJobs(Stack):
    """Takes inference jobs in, and answers requests of the Open Inference Protocol beside them, on one API.

    What waits for nobody costs next to nothing: the function that answers at once is there for whoever wants it, and
    for the models' metadata. Nothing runs by the hour.

    Args:
        scope: The app.
        construct_id: Id, and name, of the stack.
        path: The model: an .onnx file or a package directory.
        name: The model's name. Default: that of the file or directory.
        version: The model's version. Default: `"1"`.
        source: Where the model is, outside the image. Default: in the image.
        keep_versions: How many models stay on a file system. Default: 3.
        processing: The user's own pre- and post-processing. Default: none.
        memory_size: Of the functions with the model, in MB. Default: 1769.
        timeout: Longest run of the worker. Default: 60 seconds.
        cold_start: What is done about the worker's cold starts. Default: nothing.
        max_concurrency: Most workers at once. Default: 10.
        batch_size: Most jobs that a worker is given at once. Default: 10.
        batching_window: How long jobs are waited for to fill a batch. Default: 0, or 1 second for more than 10.
        micro_batch_size: Most rows in one run of the model. Default: 1, each job by itself.
        job_timeout: From a job's submission to its deadline. Default: 1 hour, or more if attempts take longer.
        retention: How long finished jobs are kept after their deadline. Default: 14 days.
        notices: Who is told of finished jobs. Default: nobody.
        removal: What becomes of the jobs, and of a file system, with the stack. Default: they are retained.
        api_type: HTTP or REST API. Default: HTTP.
        auth: Who may call. Default: IAM.
        stack_props: Whatever else a `Stack` takes, e.g. `env`.

    Outputs:
        Endpoint: Base URL of the API, without a slash at its end.
        JobsTable: Name of the table with the jobs' records.
        JobsQueue: URL of the queue that jobs wait in.
        DeadLetterQueue: URL of the queue for messages that were tried too often.
        ParkedQueue: URL of the queue with the messages of failed jobs.
        PayloadBucket: Name of the bucket for large requests and results.
        NoticesTopic: ARN of the topic, with `Notices.TOPIC`.
        FunctionName: Name of the function that answers at once.
        AliasArn: What to invoke without the API.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        path: str | os.PathLike[str],
        name: str | None = None,
        version: str = "1",
        source: Source | None = None,
        keep_versions: int = 3,
        processing: Processing | None = None,
        memory_size: int = 1769,
        timeout: Duration | None = None,
        cold_start: ColdStart | None = None,
        max_concurrency: int | None = None,
        batch_size: int = 10,
        batching_window: Duration | None = None,
        micro_batch_size: int = 1,
        job_timeout: Duration | None = None,
        retention: Duration | None = None,
        notices: Notices | None = None,
        removal: AnyRemoval | None = None,
        api_type: AnyApiType | None = None,
        auth: AnyApiAuth | None = None,
        **stack_props: Any,
    ) -> None:
        super().__init__(scope, construct_id, **stack_props)
        model: ModelSource
        self.file_system: ModelFileSystem | ModelS3Files | None = None
        if source is None:
            model = ModelSource.in_image(path, name=name, version=version)
        else:
            model, self.file_system = stored(
                self,
                path,
                name=name,
                version=version,
                source=source,
                keep_versions=keep_versions,
                removal=removal,
            )
        self.inference = InferenceFunction(
            self,
            "Inference",
            model=model,
            processing=processing,
            memory_size=memory_size,
            timeout=Duration.seconds(29),
        )
        self.api = InferenceApi(self, "Api", function=self.inference, api_type=api_type, auth=auth)
        self.topic: sns.Topic | None = None
        self.jobs = AsyncInference(
            self,
            "Jobs",
            function=self.inference,
            api=self.api,
            timeout=timeout,
            cold_start=cold_start,
            max_concurrency=max_concurrency,
            batch_size=batch_size,
            batching_window=batching_window,
            micro_batch_size=micro_batch_size,
            job_timeout=job_timeout,
            retention=retention,
            notices=self._notices(notices),
            removal=removal,
        )
        acknowledge(self.inference, self.api, api_type=api_type, auth=auth)
        acknowledge_jobs(self.jobs)
        if self.file_system is not None:
            acknowledge_file_system(self.file_system, self.inference, self.jobs.worker)

        CfnOutput(self, "Endpoint", value=self.api.url)
        CfnOutput(self, "JobsTable", value=self.jobs.table.table_name)
        CfnOutput(self, "JobsQueue", value=self.jobs.queue.queue_url)
        CfnOutput(self, "DeadLetterQueue", value=self.jobs.dead_letter_queue.queue_url)
        CfnOutput(self, "ParkedQueue", value=self.jobs.parked_queue.queue_url)
        CfnOutput(self, "PayloadBucket", value=self.jobs.bucket.bucket_name)
        if self.topic is not None:
            CfnOutput(self, "NoticesTopic", value=self.topic.topic_arn)
        CfnOutput(self, "FunctionName", value=self.inference.function.function_name)
        CfnOutput(self, "AliasArn", value=self.inference.alias.function_arn)

    def _notices(self, notices: Notices | None) -> AnyJobNotices | None:
        if notices is Notices.TOPIC:
            self.topic = sns.Topic(self, "FinishedJobs", enforce_ssl=True)
            return JobNotices.topic(self.topic)
        if notices is Notices.EVENT_BUS:
            return JobNotices.event_bus(events.EventBus.from_event_bus_name(self, "EventBus", "default"))
        return None
