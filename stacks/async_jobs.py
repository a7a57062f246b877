"""A model behind an API, for synchronous requests and for jobs."""

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
    Processing,
)
from cdk_onnx_inference.api.api_auth import AnyApiAuth
from cdk_onnx_inference.api.api_type import AnyApiType
from cdk_onnx_inference.jobs.job_notices import AnyJobNotices
from cdk_onnx_inference.removal import AnyRemoval

from .acknowledgements import acknowledge, acknowledge_file_system, acknowledge_jobs
from .large_model import Source, model_source


class Notices(StrEnum):
    """Who is told of finished jobs."""

    TOPIC = "topic"
    """Subscribers of a topic that the stack makes."""

    EVENT_BUS = "event-bus"
    """Rules of the account's default event bus."""


class AsyncJobs(Stack):
    """Accepts inference jobs and synchronous requests of the Open Inference Protocol, on one API.

    The synchronous function also answers questions about the model's metadata, and costs nothing while it is idle.
    Nothing is billed by the hour.

    Args:
        scope: The app.
        construct_id: Id, and name, of the stack.
        path: The model: an .onnx file or a package directory.
        name: The model's name. Default: the name of the file or directory.
        version: The model's version. Default: `"1"`.
        source: Where the model is, if not in the image. Default: in the image.
        keep_versions: How many models stay on a file system. Default: 3.
        processing: The user's own pre- and post-processing. Default: none.
        memory_size: Memory of the functions with the model, in MB. Default: 1769.
        timeout: Longest run of the worker. Default: 60 seconds.
        cold_start: What is done about the worker's cold starts. Default: nothing.
        max_concurrency: Most workers at once. Default: 10.
        batch_size: Most jobs that a worker gets at once. Default: 10.
        batching_window: How long to wait for jobs to fill a batch. Default: 0, or 1 second for a batch size above 10.
        micro_batch_size: Most rows in one run of the model. Default: 1, each job by itself.
        job_timeout: Time from a job's submission to its deadline. Default: 1 hour, or more if attempts take longer.
        retention: How long jobs are kept after their deadline. Default: 14 days.
        notices: Who is told of finished jobs. Default: nobody.
        removal: What happens to jobs and to a file system when the stack is deleted. Default: they are retained.
        api_type: HTTP or REST API. Default: HTTP.
        auth: Who may call. Default: IAM.
        stack_props: Further arguments of `Stack`, e.g. `env`.

    Outputs:
        Endpoint: Base URL of the API, without a slash at its end.
        JobsTable: Name of the table with the jobs' records.
        JobsQueue: URL of the queue that jobs wait in.
        DeadLetterQueue: URL of the queue for messages that were received too often.
        ParkedQueue: URL of the queue with the messages of failed jobs.
        PayloadBucket: Name of the bucket for large requests and results.
        NoticesTopic: ARN of the topic, with `Notices.TOPIC`.
        FunctionName: Name of the function for synchronous requests.
        AliasArn: ARN of its alias, to invoke it without the API.
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
        model, self.file_system = model_source(
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
