"""IAM actions by purpose, sorted, each with its access level in the Service Authorization Reference."""

from __future__ import annotations

from typing import Final

WRITE_LOGS: Final = (
    "logs:CreateLogStream",  # Write
    "logs:PutLogEvents",  # Write
)
"""What a function needs on its log group. It does not need `logs:CreateLogGroup`: the stack makes the group."""

MANAGE_NETWORK_INTERFACES: Final = (
    "ec2:AssignPrivateIpAddresses",  # Write
    "ec2:CreateNetworkInterface",  # Write
    "ec2:DeleteNetworkInterface",  # Write
    "ec2:DescribeNetworkInterfaces",  # List; has no resource-level permissions
    "ec2:DescribeSubnets",  # List; has no resource-level permissions
    "ec2:UnassignPrivateIpAddresses",  # Write
)
"""What Lambda needs to attach a function to a VPC. It checks these actions on `*` when the function is created.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
"""

INVOKE: Final = ("lambda:InvokeFunction",)  # Write
"""To invoke an alias."""

READ_OBJECTS: Final = ("s3:GetObject",)  # Read
"""To read objects of a bucket."""

MOUNT_EFS: Final = ("elasticfilesystem:ClientMount",)  # Read
"""To read an EFS file system."""

PUBLISH_EFS: Final = (
    "elasticfilesystem:ClientMount",  # Read
    "elasticfilesystem:ClientWrite",  # Write
)
"""To write to an EFS file system."""

CHANGE_EFS: Final = (
    "elasticfilesystem:ClientRootAccess",  # Write
    "elasticfilesystem:ClientWrite",  # Write
)
"""Denied to functions that serve models, because a file system's policy may allow it to everybody."""

USE_EFS: Final = (
    "elasticfilesystem:ClientMount",  # Read
    "elasticfilesystem:ClientRootAccess",  # Write
    "elasticfilesystem:ClientWrite",  # Write
)
"""All actions of EFS clients.

https://docs.aws.amazon.com/efs/latest/ug/iam-access-control-nfs-efs.html
"""

MOUNT_S3_FILES: Final = ("s3files:ClientMount",)  # Read
"""To read an S3 Files file system.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-files-security-iam.html
"""

PUBLISH_S3_FILES: Final = (
    "s3files:ClientMount",  # Read
    "s3files:ClientWrite",  # Write
)
"""To write to an S3 Files file system."""

CHANGE_S3_FILES: Final = (
    "s3files:ClientRootAccess",  # Write
    "s3files:ClientWrite",  # Write
)
"""Denied to functions that serve models."""

READ_OBJECT_VERSIONS: Final = (
    "s3:GetObject",  # Read
    "s3:GetObjectVersion",  # Read
)
"""What Lambda needs to read files of an S3 Files mount directly from S3.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-filesystem-s3files.html
"""

SYNCHRONISE_BUCKET: Final = (
    "s3:ListBucket",  # List
    "s3:ListBucketVersions",  # List
)
"""What S3 Files needs on its bucket."""

SYNCHRONISE_OBJECTS: Final = (
    "s3:AbortMultipartUpload",  # Write
    "s3:DeleteObject",  # Write
    "s3:DeleteObjectTagging",  # Tagging
    "s3:DeleteObjectVersion",  # Write
    "s3:DeleteObjectVersionTagging",  # Tagging
    "s3:GetObject",  # Read
    "s3:GetObjectAttributes",  # Read
    "s3:GetObjectTagging",  # Read
    "s3:GetObjectVersion",  # Read
    "s3:GetObjectVersionAttributes",  # Read
    "s3:GetObjectVersionTagging",  # Read
    "s3:ListMultipartUploadParts",  # Read
    "s3:PutObject",  # Write
    "s3:PutObjectTagging",  # Tagging
    "s3:PutObjectVersionTagging",  # Tagging
)
"""What S3 Files needs on the objects of its bucket. AWS's list has wildcards; here are the actions on data and tags.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-files-prereq-policies.html
"""

MANAGE_OBJECT_EVENTS: Final = (
    "events:DeleteRule",  # Write
    "events:DisableRule",  # Write
    "events:EnableRule",  # Write
    "events:PutRule",  # Write
    "events:PutTargets",  # Write
    "events:RemoveTargets",  # Write
)
"""What S3 Files needs on the EventBridge rules that it makes to learn of changes in the bucket."""

READ_EVENT_RULES: Final = (
    "events:DescribeRule",  # Read
    "events:ListRuleNamesByTarget",  # List
    "events:ListRules",  # List
    "events:ListTargetsByRule",  # List
)
"""What S3 Files needs on all EventBridge rules."""

SEND_MESSAGES: Final = ("sqs:SendMessage",)  # Write
"""To put messages into a queue."""

CONSUME_MESSAGES: Final = (
    "sqs:DeleteMessage",  # Write
    "sqs:GetQueueAttributes",  # Read
    "sqs:ReceiveMessage",  # Write
)
"""What an event source mapping needs. It acts with the role of its function.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

MOVE_MESSAGES: Final = (
    "sqs:ChangeMessageVisibility",  # Write
    "sqs:DeleteMessage",  # Write
    "sqs:GetQueueAttributes",  # Read
    "sqs:ReceiveMessage",  # Write
)
"""To take messages from a queue, or to return them at once."""

SUBMIT_JOBS: Final = (
    "dynamodb:DeleteItem",  # Write; the record of a job that could not be queued
    "dynamodb:GetItem",  # Read
    "dynamodb:PutItem",  # Write
    "dynamodb:UpdateItem",  # Write
)
"""To make jobs, to read them, and to record that they were cancelled or have expired."""

WORK_ON_JOBS: Final = (
    "dynamodb:BatchGetItem",  # Read
    "dynamodb:PartiQLUpdate",  # Write; UpdateItem for several records in one call
    "dynamodb:PutItem",  # Write; records of jobs that were sent to the queue without the API
    "dynamodb:UpdateItem",  # Write
)
"""To read jobs by their ids, to record their status and result, and to make missing records."""

READ_JOBS: Final = ("dynamodb:GetItem",)  # Read
"""To read jobs by their ids."""

BURY_JOBS: Final = (
    "dynamodb:GetItem",  # Read
    "dynamodb:PutItem",  # Write; records of jobs that never started
    "dynamodb:UpdateItem",  # Write
)
"""To record that jobs were given up."""

EXPIRE_JOBS: Final = (
    "dynamodb:BatchGetItem",  # Read
    "dynamodb:PartiQLUpdate",  # Write
    "dynamodb:UpdateItem",  # Write
)
"""To record that jobs have expired, several in one call."""

FIND_OPEN_JOBS: Final = ("dynamodb:Query",)  # Read
"""To find jobs past their deadline, in the index of open jobs."""

WRITE_OBJECTS: Final = ("s3:PutObject",)  # Write
"""To write objects to a bucket."""

READ_STREAM: Final = (
    "dynamodb:DescribeStream",  # Read
    "dynamodb:GetRecords",  # Read
    "dynamodb:GetShardIterator",  # Read
    "dynamodb:ListStreams",  # List
)
"""What a pipe needs on the stream of a table.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-permissions.html
"""

DECRYPT: Final = ("kms:Decrypt",)  # Write
"""To read what is encrypted with a customer managed key."""

ENCRYPT: Final = (
    "kms:Decrypt",  # Write
    "kms:GenerateDataKey",  # Write
)
"""To write what is encrypted with a customer managed key. SQS, S3 and DynamoDB also need `kms:Decrypt` for it."""

MISS_OBJECTS: Final = ("s3:ListBucket",)  # List
"""To tell a missing object from a missing permission: without this action S3 answers 403 in both cases."""
