"""What a CloudFormation template says about who calls whom, who sends what where, and who may read and write what.

Nothing in here knows the library's constructs: a picture shows what is in the template, whoever wrote it.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

Template = Mapping[str, Any]

CLIENTS: Final = "clients"
DEPLOYMENT: Final = "deployment"
ASSETS: Final = "assets"

_ACTION_VERBS: Final = (
    (re.compile(r"elasticfilesystem:ClientWrite|s3files:ClientWrite"), "writes"),
    (re.compile(r"elasticfilesystem:ClientMount|s3files:ClientMount"), "reads"),
    (re.compile(r"s3:(Get|List)\w*|dynamodb:(Get|Query|Scan|BatchGet|DescribeStream)\w*"), "reads"),
    (re.compile(r"s3:(Put|Delete|Abort)\w*|dynamodb:(Put|Update|Delete|BatchWrite|PartiQL)\w*"), "writes"),
    (re.compile(r"sqs:SendMessage"), "sends"),
    (re.compile(r"sns:Publish|events:PutEvents"), "publishes"),
    (re.compile(r"lambda:InvokeFunction"), "invokes"),
)
_COUNTED: Final = {
    "AWS::IAM::Role": "role",
    "AWS::Logs::LogGroup": "log group",
    "AWS::EC2::VPC": "VPC",
    "AWS::EC2::Subnet": "subnet",
    "AWS::EC2::VPCEndpoint": "VPC endpoint",
    "AWS::EC2::SecurityGroup": "security group",
    "AWS::EC2::NatGateway": "NAT gateway",
    "AWS::CloudWatch::Alarm": "alarm",
    "AWS::CloudWatch::Dashboard": "dashboard",
    "AWS::KMS::Key": "key",
}


@dataclass(frozen=True, slots=True)
class Node:
    """A box: what it is, its name, and a line about it."""

    key: str
    kind: str
    title: str
    group: str
    detail: str = ""


@dataclass(slots=True)
class Graph:
    """The boxes and arrows of a template.

    Attributes:
        nodes: By key, in the template's order.
        calls: Who sets off whom, with a word about it: these make the picture's rows.
        uses: Who reads or writes what, with the verbs.
        others: How many resources of other types there are, in words.
    """

    nodes: dict[str, Node] = field(default_factory=dict)
    calls: dict[tuple[str, str], str] = field(default_factory=dict)
    uses: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


def read(template: Template) -> Graph:
    """The graph of a template."""
    return _Reading(template).graph()


class _Reading:
    def __init__(self, template: Template) -> None:
        self._resources: dict[str, dict[str, Any]] = dict(template["Resources"])
        self._graph = Graph()
        self._owners = self._find_owners()

    def graph(self) -> Graph:
        for key, resource in self._resources.items():
            node = self._node(key, resource)
            if node is not None:
                self._graph.nodes[key] = node
        self._apis()
        self._triggers()
        self._queues()
        self._custom_resources()
        self._permissions()
        counts = Counter(resource["Type"] for resource in self._resources.values())
        self._graph.others = [_count(counts[kind], word) for kind, word in _COUNTED.items() if counts[kind]]
        self._add_outsiders()
        return self._graph

    # -- boxes ---------------------------------------------------------------------------------------------------

    def _node(self, key: str, resource: Mapping[str, Any]) -> Node | None:
        properties = resource.get("Properties", {})
        stays = "stays when the stack goes" if resource.get("DeletionPolicy") == "Retain" else "goes with the stack"
        match resource["Type"]:
            case "AWS::Lambda::Function":
                if str(properties.get("Handler", "")).startswith("__entrypoint__"):
                    return None  # of CDK's own custom resources
                return Node(key, self._function_kind(key), _name(key, "Function"), "compute", _function(properties))
            case "AWS::ApiGatewayV2::Api":
                routes = self._of_api("AWS::ApiGatewayV2::Route", "ApiId", key)
                return Node(key, "HTTP API", _name(key, "HttpApi"), "api", _count(len(routes), "route"))
            case "AWS::ApiGateway::RestApi":
                methods = self._of_api("AWS::ApiGateway::Method", "RestApiId", key)
                return Node(key, "REST API", _name(key, "RestApi"), "api", _count(len(methods), "route"))
            case "AWS::SQS::Queue":
                return Node(key, "SQS queue", _name(key, ""), "message", _retention(properties))
            case "AWS::SNS::Topic":
                return Node(key, "SNS topic", _name(key, ""), "message")
            case "AWS::Events::EventBus":
                return Node(key, "event bus", _name(key, ""), "message")
            case "AWS::Pipes::Pipe":
                return Node(key, "EventBridge pipe", _name(key, ""), "message")
            case "AWS::DynamoDB::GlobalTable" | "AWS::DynamoDB::Table":
                return Node(key, "DynamoDB table", _name(key, ""), "store", stays)
            case "AWS::S3::Bucket":
                return Node(key, "S3 bucket", _name(key, ""), "store", stays)
            case "AWS::EFS::FileSystem":
                return Node(key, "EFS file system", _name(key, "FileSystem"), "store", stays)
            case "AWS::S3Files::FileSystem":
                return Node(key, "S3 Files file system", _name(key, "FileSystem"), "store", "of the bucket's objects")
            case "AWS::Scheduler::Schedule" | "AWS::Events::Rule":
                return Node(
                    key, "schedule", _name(key, ""), "outside", str(properties.get("ScheduleExpression", "events"))
                )
        return None

    def _function_kind(self, key: str) -> str:
        for alias in self._resources.values():
            properties = alias.get("Properties", {})
            if alias["Type"] == "AWS::Lambda::Alias" and key in _references(properties["FunctionName"]):
                return f"Lambda function, alias {properties['Name']}{self._concurrency(alias, key)}"
        return "Lambda function"

    def _concurrency(self, alias: Mapping[str, Any], function: str) -> str:
        properties = alias["Properties"]
        if "SnapStart" in self._resources[function]["Properties"]:
            return ", SnapStart"
        for target in self._of_type("AWS::ApplicationAutoScaling::ScalableTarget").values():
            return f", {target['MinCapacity']} to {target['MaxCapacity']} provisioned"
        fixed = properties.get("ProvisionedConcurrencyConfig", {}).get("ProvisionedConcurrentExecutions")
        return f", {fixed} provisioned" if fixed else ""

    def _add_outsiders(self) -> None:
        """Whoever is not in the template, but calls what is in it."""
        outside = {}
        if any(source == CLIENTS for source, _ in self._graph.calls):
            outside[CLIENTS] = Node(CLIENTS, "outside", "Clients", "outside", "Open Inference Protocol")
        if any(source == DEPLOYMENT for source, _ in self._graph.calls):
            outside[DEPLOYMENT] = Node(DEPLOYMENT, "outside", "Deployment", "outside", "CloudFormation")
        if any(target == ASSETS for _, target in self._graph.uses):
            self._graph.nodes[ASSETS] = Node(ASSETS, "S3 bucket", "CDK's assets", "store", "of the bootstrap stack")
        self._graph.nodes = {**outside, **self._graph.nodes}

    # -- arrows --------------------------------------------------------------------------------------------------

    def _apis(self) -> None:
        for key, node in self._graph.nodes.items():
            if node.group != "api":
                continue
            routes = self._of_api("AWS::ApiGatewayV2::Route", "ApiId", key)
            methods = self._of_api("AWS::ApiGateway::Method", "RestApiId", key)
            ways = {_identification(properties) for properties in (*routes, *methods)}
            self._graph.calls[CLIENTS, key] = ", ".join(sorted(ways))
            targets: Counter[str] = Counter()
            for route in routes:
                for integration in _references(route.get("Target", {})):
                    properties = self._resources.get(integration, {}).get("Properties", {})
                    targets.update(self._drawn(properties.get("IntegrationUri")))
            for method in methods:
                targets.update(self._drawn(method.get("Integration", {}).get("Uri")))
            for target, number in targets.items():
                self._graph.calls[key, target] = _count(number, "route") if len(targets) > 1 else ""

    def _triggers(self) -> None:
        for key, properties in self._of_type("AWS::Scheduler::Schedule").items():
            for target in self._drawn(properties["Target"]["Arn"]):
                self._graph.calls[key, target] = ""
        for key, properties in self._of_type("AWS::Events::Rule").items():
            for target in self._drawn([each["Arn"] for each in properties.get("Targets", [])]):
                self._graph.calls[key, target] = _count(len(properties["Targets"]), "event")
        for key, properties in self._of_type("AWS::Pipes::Pipe").items():
            for source in self._drawn(properties["Source"]):
                self._graph.uses[key, source] = ["reads changes"]
            for target in self._drawn(properties["Target"]):
                self._graph.calls[key, target] = "publishes"

    def _queues(self) -> None:
        for properties in self._of_type("AWS::Lambda::EventSourceMapping").values():
            for source in self._drawn(properties["EventSourceArn"]):
                for target in self._drawn(properties["FunctionName"]):
                    words = [f"batches of {properties.get('BatchSize', 10)}"]
                    if most := properties.get("ScalingConfig", {}).get("MaximumConcurrency"):
                        words.append(f"{most} at once")
                    self._graph.calls[source, target] = ", ".join(words)
        for key, properties in self._of_type("AWS::SQS::Queue").items():
            redrive = properties.get("RedrivePolicy", {})
            for target in self._drawn(redrive.get("deadLetterTargetArn")):
                self._graph.calls[key, target] = f"after {redrive['maxReceiveCount']} receives"

    def _custom_resources(self) -> None:
        for resource in self._resources.values():
            if resource["Type"].startswith("Custom::") or resource["Type"] == "AWS::CloudFormation::CustomResource":
                for target in self._drawn(resource["Properties"]["ServiceToken"]):
                    self._graph.calls[DEPLOYMENT, target] = resource["Type"]

    def _permissions(self) -> None:
        functions = {
            role: key
            for key, properties in self._of_type("AWS::Lambda::Function").items()
            for role in _references(properties["Role"])
            if key in self._graph.nodes
        }
        for function, statement in self._statements(functions):
            if statement.get("Effect") != "Allow":
                continue
            verbs = _verbs(_listed(statement.get("Action", [])))
            text = json.dumps(statement.get("Resource"))
            targets = self._drawn(statement.get("Resource"))
            if "-assets-" in text and "s3:::" in text:
                targets = [*targets, ASSETS]
            for target in targets:
                for verb in verbs:
                    self._permit(function, target, verb)

    def _permit(self, function: str, target: str, verb: str) -> None:
        if verb in ("reads", "writes"):
            known = self._graph.uses.setdefault((function, target), [])
            if verb not in known:
                known.append(verb)
                known.sort()
        elif function != target:
            self._graph.calls.setdefault((function, target), verb)

    def _statements(self, functions: Mapping[str, str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for key, properties in self._of_type("AWS::IAM::Role").items():
            for policy in properties.get("Policies", []):
                if key in functions:
                    yield from ((functions[key], each) for each in _listed(policy["PolicyDocument"]["Statement"]))
        for properties in self._of_type("AWS::IAM::Policy").values():
            for role in _references(properties.get("Roles", [])):
                if role in functions:
                    document = properties["PolicyDocument"]
                    yield from ((functions[role], each) for each in _listed(document["Statement"]))

    # -- references ----------------------------------------------------------------------------------------------

    def _find_owners(self) -> dict[str, str]:
        """Resources that stand for another: an alias for its function, an access point for its file system."""
        owners = {}
        for key, resource in self._resources.items():
            properties = resource.get("Properties", {})
            for of in ("FunctionName", "FileSystemId"):
                if of in properties and not resource["Type"].endswith(("EventSourceMapping", "Permission")):
                    for owner in _references(properties[of]):
                        owners[key] = owner
        return owners

    def _drawn(self, value: Any) -> list[str]:
        """The boxes that a value refers to, each once."""
        found = (self._owners.get(key, key) for key in _references(value))
        return [key for key in dict.fromkeys(found) if key in self._graph.nodes]

    def _of_type(self, kind: str) -> dict[str, Any]:
        return {key: each.get("Properties", {}) for key, each in self._resources.items() if each["Type"] == kind}

    def _of_api(self, kind: str, member: str, api: str) -> list[Mapping[str, Any]]:
        return [each for each in self._of_type(kind).values() if api in _references(each[member])]


def _references(value: Any) -> list[str]:
    """Logical ids that a value refers to, in the order of their appearance."""
    if isinstance(value, Mapping):
        if isinstance(value.get("Ref"), str):
            return [value["Ref"]]
        if "Fn::GetAtt" in value:
            attribute = value["Fn::GetAtt"]
            return [attribute.split(".")[0] if isinstance(attribute, str) else attribute[0]]
        if "Fn::Sub" in value:
            text = value["Fn::Sub"] if isinstance(value["Fn::Sub"], str) else value["Fn::Sub"][0]
            return re.findall(r"\$\{(\w+)", text)
        return [key for each in value.values() for key in _references(each)]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [key for each in value for key in _references(each)]
    return []


def _verbs(actions: Sequence[str]) -> list[str]:
    found = [verb for pattern, verb in _ACTION_VERBS if any(pattern.fullmatch(action) for action in actions)]
    return sorted(set(found))


def _identification(properties: Mapping[str, Any]) -> str:
    kind = str(properties.get("AuthorizationType", "NONE"))
    if kind == "NONE" and properties.get("ApiKeyRequired"):
        return "API key"
    return {"AWS_IAM": "signed, IAM", "JWT": "JWT", "CUSTOM": "authoriser", "NONE": "anybody"}.get(kind, kind)


def _function(properties: Mapping[str, Any]) -> str:
    command = properties.get("ImageConfig", {}).get("Command", [properties.get("Handler", "")])[0]
    place = ", VPC" if "VpcConfig" in properties else ""
    return f"{str(command).removesuffix('.handler')}, {properties.get('MemorySize', 128)} MB{place}"


def _retention(properties: Mapping[str, Any]) -> str:
    days = properties.get("MessageRetentionPeriod", 345_600) / 86_400
    return f"keeps messages {days:g} days"


def _name(key: str, suffix: str) -> str:
    """A logical id in words: without CDK's hash, and without what its kind says already."""
    bare = re.sub(r"[0-9A-F]{8}$", "", key)
    bare = bare.removesuffix(suffix) or bare
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", bare)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
