"""Tables' streams."""

import pytest


def test_statements_write_the_tables_stream_too(cloud):
    """MiniStack's own statements do not."""
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
