"""The parts of the adapter to MiniStack that event sources and kept state use: the internals are as expected."""

import inspect
import threading
import time

import pytest

from onnx_inference.local.cloud.embedded_cloud import EmbeddedCloud

pytest.importorskip("ministack")


def invoke_nothing(arn, payload):
    raise AssertionError("not called")


@pytest.fixture(scope="module")
def cloud():
    cloud = EmbeddedCloud(invoke_nothing)
    cloud.start()
    yield cloud
    cloud.stop()


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_the_internals_that_are_touched(cloud):
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
    assert of_update[:3] == ["physical_id", "old", "new"]  # the adapter's own


def test_ministacks_own_pollers_are_off_while_the_cloud_runs_and_only_then():
    from ministack.services import lambda_svc, pipes

    # Looked up by name at every pass: a replacement takes effect in a loop that runs already.
    assert {"_poll_sqs", "_poll_kinesis"} <= set(lambda_svc._poll_loop.__code__.co_names)
    assert "_poll_once" in pipes._poll_loop.__code__.co_names
    assert lambda_svc._poll_sqs.__module__.startswith("onnx_inference")
    assert pipes._poll_once.__module__.startswith("onnx_inference")


@pytest.fixture
def queue(cloud):
    sqs = cloud.client("sqs")
    url = sqs.create_queue(QueueName="adapter", Attributes={"VisibilityTimeout": "30"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    yield sqs, url, arn
    sqs.delete_queue(QueueUrl=url)


def test_more_than_ten_are_received_at_once(cloud, queue):
    sqs, url, arn = queue
    for number in range(15):
        sqs.send_message(QueueUrl=url, MessageBody=str(number))
    received = cloud.queues.receive(arn, 100)
    assert received.visibility_seconds == 30
    assert [message.body for message in received.messages] == [str(number) for number in range(15)]
    assert cloud.queues.receive(arn, 100).messages == ()
    cloud.queues.delete(arn, [received.messages[0].receipt_handle])
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=received.messages[1].receipt_handle, VisibilityTimeout=0)
    (again,) = cloud.queues.receive(arn, 100).messages
    assert again.attributes["ApproximateReceiveCount"] == "2"
    cloud.queues.delete(arn, [received.messages[1].receipt_handle])  # its handle is another by now
    sqs.change_message_visibility(QueueUrl=url, ReceiptHandle=again.receipt_handle, VisibilityTimeout=0)
    assert len(cloud.queues.receive(arn, 100).messages) == 1


def test_no_message_is_lost_while_others_are_deleted(cloud, queue):
    _, url, arn = queue

    def produce():
        client = cloud.client("sqs")
        for number in range(0, 300, 10):
            entries = [{"Id": str(n), "MessageBody": str(number + n)} for n in range(10)]
            client.send_message_batch(QueueUrl=url, Entries=entries)

    producers = [threading.Thread(target=produce) for _ in range(3)]
    for thread in producers:
        thread.start()
    seen = 0
    while True:
        finished = not any(thread.is_alive() for thread in producers)
        messages = cloud.queues.receive(arn, 10).messages
        cloud.queues.delete(arn, [message.receipt_handle for message in messages])
        seen += len(messages)
        if finished and not messages:
            break
        time.sleep(0 if messages else 0.02)
    assert seen == 900


def test_statements_write_the_tables_stream_too(cloud):
    """MiniStack's do not; the adapter mends that."""
    table = cloud.client("dynamodb")
    made = table.create_table(
        TableName="streamed",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )["TableDescription"]
    statements = [
        """INSERT INTO "streamed" VALUE {'id': 'a', 's': 'one'}""",
        """UPDATE "streamed" SET s = 'two' WHERE id = 'a'""",
        """DELETE FROM "streamed" WHERE id = 'a'""",
    ]
    for statement in statements:
        (answer,) = table.batch_execute_statement(Statements=[{"Statement": statement}])["Responses"]
        assert "Error" not in answer
    with pytest.raises(table.exceptions.ConditionalCheckFailedException):
        table.execute_statement(Statement=statements[1])
    first, records = cloud.streams.records(made["LatestStreamArn"], 0, 100)
    assert first == 0
    images = [
        [record["dynamodb"].get(name, {}).get("s", {}).get("S") for name in ("OldImage", "NewImage")]
        for record in records
    ]
    assert [record["eventName"] for record in records] == ["INSERT", "MODIFY", "REMOVE"]
    assert images == [[None, "one"], ["one", "two"], ["two", None]]


def test_a_queue_that_is_gone(cloud):
    assert cloud.queues.receive("arn:aws:sqs:us-east-1:000000000000:none", 10) is None
