"""Resources that MiniStack does not know, or of which it drops something."""

import json
import time

import pytest

from tests.toolkit.local.cloud.conftest import delete, deploy, ended


def test_unknown_types_are_recorded_and_known_ones_are_not(cloud):
    assert cloud.recorded.unknown_types(["AWS::SQS::Queue", "AWS::Deadline::Farm", "Custom::Thing"]) == [
        "AWS::Deadline::Farm"
    ]
    cloud.recorded.accept(["AWS::SQS::Queue", "AWS::Deadline::Farm"])
    assert cloud.recorded.has_type("AWS::Deadline::Farm")
    assert not cloud.recorded.has_type("AWS::SQS::Queue")
    template = {"Resources": {"Farm": {"Type": "AWS::Deadline::Farm", "Properties": {"DisplayName": "f"}}}}
    client = cloud.client("cloudformation")
    client.create_stack(StackName="recorded", TemplateBody=json.dumps(template))
    client.get_waiter("stack_create_complete").wait(StackName="recorded", WaiterConfig={"Delay": 1})
    (summary,) = client.list_stack_resources(StackName="recorded")["StackResourceSummaries"]
    assert summary["LogicalResourceId"] == "Farm"


def test_recorded_resources_are_read_and_leave_when_they_are_deleted(cloud):
    kind = "AWS::ApplicationAutoScaling::ScalableTarget"
    deploy(cloud, "Scaled", {"Target": {"Type": kind, "Properties": {"MinCapacity": 1}}})
    (target,) = cloud.recorded.of_type(kind)
    assert (target.properties, target.account, target.region) == ({"MinCapacity": 1}, "000000000000", "us-east-1")
    delete(cloud, "Scaled")
    assert cloud.recorded.of_type(kind) == []


def test_alarms_of_metric_math_deploy_and_are_kept_with_the_others(cloud):
    """MiniStack refuses the former."""
    simple = {
        "Namespace": "AWS/Lambda",
        "MetricName": "Errors",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    math = {
        "Metrics": [{"Id": "e", "Expression": "1 + 1"}],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }

    def template(threshold):
        resources = {
            "Simple": {"Type": "AWS::CloudWatch::Alarm", "Properties": {**simple, "Threshold": threshold}},
            "Math": {"Type": "AWS::CloudWatch::Alarm", "Properties": {**math, "Threshold": threshold}},
        }
        outputs = {"Arn": {"Value": {"Fn::GetAtt": ["Math", "Arn"]}}}
        return json.dumps({"Resources": resources, "Outputs": outputs})

    cloudformation = cloud.client("cloudformation")

    def settled():
        for _ in range(500):
            stack = cloudformation.describe_stacks(StackName="Alarms")["Stacks"][0]
            if not stack["StackStatus"].endswith("IN_PROGRESS"):
                return stack
            time.sleep(0.02)
        raise AssertionError(stack["StackStatus"])

    def thresholds():
        return sorted(
            float(alarm.properties["Threshold"]) for alarm in cloud.recorded.of_type("AWS::CloudWatch::Alarm")
        )

    cloudformation.create_stack(StackName="Alarms", TemplateBody=template(1))
    stack = settled()
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert stack["Outputs"][0]["OutputValue"].endswith(":alarm:Alarms-Math")
    assert thresholds() == [1, 1]
    assert len(cloud.client("cloudwatch").describe_alarms()["MetricAlarms"]) == 1
    cloudformation.update_stack(StackName="Alarms", TemplateBody=template(2))
    assert settled()["StackStatus"] == "UPDATE_COMPLETE"
    assert thresholds() == [2, 2]
    cloudformation.delete_stack(StackName="Alarms")
    for _ in range(500):
        if not thresholds():
            break
        time.sleep(0.02)
    assert thresholds() == []


@pytest.mark.parametrize("tagged", [True, False])
def test_a_bucket_is_emptied_with_its_stack(cloud, tagged):
    """CDK's own function needs the SDK of Lambda's Node runtime, and would never answer here."""
    properties = {"BucketName": f"models-{tagged}".lower(), "VersioningConfiguration": {"Status": "Enabled"}}
    if tagged:
        properties["Tags"] = [{"Key": "aws-cdk:auto-delete-objects", "Value": "true"}]
    emptier = {
        "ServiceToken": "arn:aws:lambda:us-east-1:000000000000:function:cdk",
        "BucketName": {"Ref": "Bucket"},
    }
    resources = {
        # Retained, because MiniStack deletes buckets that are not empty.
        "Bucket": {"Type": "AWS::S3::Bucket", "Properties": properties, "DeletionPolicy": "Retain"},
        "Emptier": {"Type": "Custom::S3AutoDeleteObjects", "Properties": emptier},
    }
    name = f"Emptied{tagged}"
    cloudformation = cloud.client("cloudformation")
    stack_id = cloudformation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))["StackId"]
    ended(cloudformation, name, "CREATE_COMPLETE")
    s3 = cloud.client("s3")
    for content in (b"1", b"2"):
        s3.put_object(Bucket=properties["BucketName"], Key="kept", Body=content)
        s3.put_object(Bucket=properties["BucketName"], Key="deleted", Body=content)
    s3.delete_object(Bucket=properties["BucketName"], Key="deleted")
    cloudformation.delete_stack(StackName=name)
    ended(cloudformation, stack_id, "DELETE_COMPLETE")
    left = s3.list_object_versions(Bucket=properties["BucketName"])
    assert len(left.get("Versions", ())) == (0 if tagged else 4)
    assert len(left.get("DeleteMarkers", ())) == (0 if tagged else 1)


def test_a_missing_image_is_an_error_as_on_aws(cloud):
    ecr = cloud.client("ecr")
    ecr.create_repository(repositoryName="models")
    with pytest.raises(ecr.exceptions.ImageNotFoundException, match="digits"):
        ecr.describe_images(repositoryName="models", imageIds=[{"imageTag": "digits"}])
    ecr.put_image(repositoryName="models", imageManifest="{}", imageTag="digits")
    assert len(ecr.describe_images(repositoryName="models", imageIds=[{"imageTag": "digits"}])["imageDetails"]) == 1
    with pytest.raises(ecr.exceptions.RepositoryNotFoundException):
        ecr.describe_images(repositoryName="none", imageIds=[{"imageTag": "digits"}])
