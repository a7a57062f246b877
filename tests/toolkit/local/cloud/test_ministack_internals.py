"""MiniStack is pinned exactly, because the twin touches its internals: they are what the twin expects."""

import inspect
import time
from importlib.metadata import requires, version

import pytest

from onnx_inference.local.cloud.recorded_resources import RECORDED_ONLY_TYPES

pytest.importorskip("ministack")


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_pinned_version_is_the_one_these_internals_were_read_in():
    pins = [r for r in requires("cdk-onnx-inference") or () if r.startswith("ministack")]
    assert all(f"=={version('ministack')}" in pin for pin in pins)
    assert pins


def test_the_internals_before_a_cloud_patches_them():
    from ministack import app as ministack_app
    from ministack.core import responses
    from ministack.services import ecr, eventbridge, lambda_svc, s3, scheduler, sqs
    from ministack.services.cloudformation import changesets, custom_resource, engine, provisioners, stacks
    from ministack.services.cloudformation import handlers as handlers_module

    assert inspect.signature(scheduler._tick_schedules).parameters == {}
    assert inspect.signature(eventbridge._tick_scheduled_rules).parameters == {}
    assert hasattr(scheduler._schedules, "_data")
    assert hasattr(eventbridge._rules, "_data")
    assert hasattr(eventbridge._targets, "_data")
    assert list(inspect.signature(eventbridge._invoke_target).parameters)[:3] == ["target", "event", "rule"]
    assert list(inspect.signature(eventbridge._pattern_event_view).parameters) == ["event"]
    transform = inspect.signature(eventbridge._apply_input_transformer)
    assert list(transform.parameters) == ["transformer", "rule", "view"]
    assert list(inspect.signature(stacks._runs_on_worker_thread).parameters) == ["resource_type"]
    assert list(inspect.signature(lambda_svc._snapstart_provision_version_async).parameters) == ["name", "ver_record"]
    assert callable(responses.set_request_account_id)
    assert callable(responses.set_request_region)
    assert list(inspect.signature(lambda_svc._execute_function_with_config_scope).parameters) == ["func", "event"]
    assert list(inspect.signature(custom_resource.deliver_response).parameters) == ["token", "response"]
    assert "Custom::S3AutoDeleteObjects" not in provisioners._RESOURCE_HANDLERS
    assert list(inspect.signature(lambda_svc._execute_function_docker).parameters) == ["func", "event", "request_id"]
    assert list(inspect.signature(lambda_svc._throttle_response).parameters)[:2] == ["reason_code", "msg"]
    assert list(inspect.signature(lambda_svc._functions.get_scoped).parameters)[:3] == ["account_id", "region", "key"]
    assert list(inspect.signature(ecr._describe_images).parameters) == ["data"]
    assert list(inspect.signature(ecr._find_image).parameters) == ["repo_name", "image_id"]
    assert list(inspect.signature(ecr.error_response_json).parameters)[:3] == ["code", "message", "status"]
    assert inspect.signature(ministack_app._docker_socket_present).parameters == {}
    assert inspect.signature(ministack_app._reset_all_state).parameters == {}
    assert inspect.iscoroutinefunction(ministack_app.app)
    deploy = inspect.signature(stacks._deploy_stack_async)
    assert list(deploy.parameters)[:4] == ["stack_name", "stack_id", "template", "param_values"]
    assert handlers_module._deploy_stack_async is changesets._deploy_stack_async is stacks._deploy_stack_async
    assert list(inspect.signature(engine._extract_deps).parameters) == ["resource_def", "all_resource_names"]
    assert engine._extract_deps({"UpdatePolicy": {"P": {"Ref": "Other"}}}, {"Other"}) == set()
    assert list(engine._intrinsic_references({"Ref": "Other"})) == [("Other", None)]
    assert list(inspect.signature(engine._resolve_refs).parameters) == [
        "value",
        "resources",
        "params",
        "conditions",
        "mappings",
        "stack_name",
        "stack_id",
    ]
    assert list(inspect.signature(engine._evaluate_conditions).parameters)[:2] == ["template", "params"]
    assert callable(sqs._queues.all_items)
    handlers = provisioners._RESOURCE_HANDLERS
    for updated in ("AWS::Lambda::Alias", "AWS::CloudWatch::Alarm"):
        assert handlers[updated]["update_with_logical_id"]
        assert list(inspect.signature(handlers[updated]["update"]).parameters)[:4] == [
            "physical_id",
            "old_props",
            "new_props",
            "stack_name",
        ]
    # Still unknown there: a type that MiniStack learns must leave the list, or it would stay recorded only.
    assert [name for name in RECORDED_ONLY_TYPES if name in handlers] == []
    assert list(inspect.signature(handlers["AWS::Lambda::Function"]["create"]).parameters)[:2] == [
        "logical_id",
        "props",
    ]
    of_schedule = handlers["AWS::Scheduler::Schedule"]
    assert list(inspect.signature(of_schedule["create"]).parameters) == ["logical_id", "props", "stack_name"]
    assert list(inspect.signature(of_schedule["update"]).parameters)[:3] == ["physical_id", "old_props", "new_props"]
    of_version = list(inspect.signature(handlers["AWS::Lambda::Version"]["create"]).parameters)
    assert of_version == ["logical_id", "props", "stack_name"]
    of_update = list(inspect.signature(handlers["AWS::Lambda::Function"]["update"]).parameters)
    assert of_update[:3] == ["physical_id", "old_props", "new_props"]
    of_buckets = handlers["AWS::S3::Bucket"]
    assert list(inspect.signature(of_buckets["create"]).parameters) == ["logical_id", "props", "stack_name"]
    assert list(inspect.signature(of_buckets["update"]).parameters)[:3] == ["physical_id", "old_props", "new_props"]
    assert s3._bucket_tags is not None
    assert list(inspect.signature(handlers["AWS::SQS::QueuePolicy"]["create"]).parameters) == [
        "logical_id",
        "props",
        "stack_name",
    ]


def test_the_internals_of_queues_streams_and_state():
    from ministack import app
    from ministack.services import dynamodb, lambda_svc, pipes, s3, sqs
    from ministack.services.cloudformation import provisioners

    assert parameters(sqs._queue_by_arn) == ["arn"]
    assert parameters(sqs._expire_retained) == ["q"]
    assert parameters(sqs._dlq_sweep) == ["q"]
    assert parameters(sqs._collect_msgs) == ["q", "max_n", "vis_timeout"]
    assert parameters(sqs._build_sys_attrs) == ["msg", "names"]
    assert parameters(sqs._md5_msg_attrs) == ["attrs"]
    assert parameters(dynamodb.stream_start_position) == ["table_name", "account_id", "region"]
    assert parameters(dynamodb.stream_records_since)[:3] == ["table_name", "position", "limit"]
    assert parameters(dynamodb._partiql_key_target) == ["table", "parsed"]
    assert parameters(dynamodb._emit_stream_event)[:4] == ["table_name", "event_name", "old_item", "new_item"]
    assert "_partiql_update" in dynamodb._execute_statement.__code__.co_names
    assert parameters(app._get_module) == ["name"]
    assert {"sqs", "dynamodb", "lambda", "cloudformation", "s3"} <= set(app._state_map)
    assert "sqs" in app._build_persistence_save_dict()
    for store in (lambda_svc._esms, pipes._pipes, pipes._positions, s3._buckets):
        assert isinstance(store._data, dict)
    of_update = parameters(provisioners._RESOURCE_HANDLERS["AWS::Pipes::Pipe"]["update"])
    assert of_update[:3] == ["physical_id", "old_props", "new_props"]


def test_ministacks_own_pollers_are_off_while_a_cloud_runs(cloud):
    from ministack.services import lambda_svc, pipes

    # Looked up by name at every pass: a replacement takes effect in a loop that runs already.
    assert {"_poll_sqs", "_poll_kinesis"} <= set(lambda_svc._poll_loop.__code__.co_names)
    assert "_poll_once" in pipes._poll_loop.__code__.co_names
    assert lambda_svc._poll_sqs.__module__.startswith("onnx_inference")
    assert pipes._poll_once.__module__.startswith("onnx_inference")


def test_ministack_fires_nothing_itself(cloud):
    from ministack.services import eventbridge, scheduler

    before = time.time() - 3600
    scheduler._schedules._data["000000000000", "us-east-1", "default/old"] = {
        "Name": "old",
        "State": "ENABLED",
        "ScheduleExpression": "rate(1 minute)",
        "CreationDate": before,
        "Target": {"Arn": "arn:aws:lambda:us-east-1:000000000000:function:f", "RoleArn": "r"},
    }
    try:
        scheduler._tick_schedules()
        eventbridge._tick_scheduled_rules()
        assert not scheduler._schedule_last_fired
    finally:
        del scheduler._schedules._data["000000000000", "us-east-1", "default/old"]
