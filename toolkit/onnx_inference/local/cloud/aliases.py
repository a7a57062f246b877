"""The embedded cloud's updates of aliases that a template leaves to CodeDeploy.

MiniStack's CloudFormation knows no update policies: it would move an alias at once, and maybe before the functions
that are its hooks exist.
"""

import copy
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from onnx_inference.local.cloud.patches import Handlers, Patches, ministack
from onnx_inference.local.cloud.records import AliasMove
from onnx_inference.local.lambda_host.function_configuration import FunctionArn

#: Moves an alias that its template leaves to CodeDeploy; what it raises fails the update of the alias.
AliasMover = Callable[[AliasMove], None]

_ALIAS = "AWS::Lambda::Alias"
_Deploy = Callable[..., Awaitable[None]]
_Dependencies = Callable[[Mapping[str, Any], set[str]], set[str]]


def patch_aliases(patches: Patches, move: AliasMover | None) -> None:
    """Let an alias with CodeDeploy's update policy be moved by `move`. Default: MiniStack moves it, at once."""
    if move is None:
        return
    engine = ministack("services.cloudformation.engine")
    updates = _AliasUpdates(move, engine, ministack("services.cloudformation")._stacks)
    deploy = updates.remembered(ministack("services.cloudformation.stacks")._deploy_stack_async)
    for module in ("handlers", "changesets"):
        patches.attribute(ministack(f"services.cloudformation.{module}"), "_deploy_stack_async", deploy)
    patches.attribute(engine, "_extract_deps", updates.dependencies(engine._extract_deps))
    patches.handle(_ALIAS, updates.handlers(patches.handlers[_ALIAS]))


class _AliasUpdates:
    """Wraps what MiniStack does in a deployment.

    Args:
        move: Moves an alias, before its resource is updated.
        engine: MiniStack's module of intrinsic functions and dependencies.
        stacks: MiniStack's stacks.
    """

    def __init__(self, move: AliasMover, engine: Any, stacks: Any) -> None:
        self._move = move
        self._engine = engine
        self._stacks = stacks
        self._deploying: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}

    def remembered(self, deploy: _Deploy) -> _Deploy:
        """Remember the template of a deployment while it runs; MiniStack keeps it only when it has ended."""

        async def deploy_and_remember(
            name: str, stack_id: str, template: Any, values: Any, *more: Any, **named: Any
        ) -> None:
            self._deploying[stack_id] = (template, values)
            try:
                await deploy(name, stack_id, template, values, *more, **named)
            finally:
                self._deploying.pop(stack_id, None)

        return deploy_and_remember

    def dependencies(self, original: _Dependencies) -> _Dependencies:
        """Count what the update policy refers to as dependencies, so that hooks are updated before the alias."""

        def with_policy(resource: Mapping[str, Any], names: set[str]) -> set[str]:
            references = self._engine._intrinsic_references(resource.get("UpdatePolicy") or {})
            return {*original(resource, names), *(name for name, _ in references if name in names)}

        return with_policy

    def handlers(self, original: Handlers) -> Handlers:
        """The handlers of the resource type, with an update that waits for the move."""

        def update(
            physical_id: str, old: Mapping[str, Any], new: Mapping[str, Any], stack: str, logical_id: str | None = None
        ) -> Any:
            move = self._move_of(physical_id, old, new, stack, logical_id)
            if move is not None:
                self._move(move)
            return original["update"](physical_id, old, new, stack, logical_id)

        return {**original, "update": update}

    def _move_of(
        self, arn: str, old: Mapping[str, Any], new: Mapping[str, Any], stack_name: str, logical_id: str | None
    ) -> AliasMove | None:
        """The move that CodeDeploy makes for this update of an alias; None when it makes none."""
        stack = self._stacks.get(stack_name)
        deploying = None if stack is None else self._deploying.get(stack["StackId"])
        # A rollback puts the old version back at once, as it should when something is wrong.
        if stack is None or deploying is None or "ROLLBACK" in stack["StackStatus"]:
            return None
        if any(old.get(name) != new.get(name) for name in ("FunctionName", "Name")):
            return None
        if old.get("FunctionVersion") == new.get("FunctionVersion"):
            return None
        policy = self._policy(stack_name, stack, *deploying, logical_id)
        if not policy:
            return None
        function = FunctionArn.parse(arn)
        return AliasMove(
            account=function.account,
            region=function.region,
            function=function.name,
            alias=str(function.qualifier),
            from_version=str(old["FunctionVersion"]),
            to_version=str(new["FunctionVersion"]),
            deployment_group=str(policy["DeploymentGroupName"]),
            before_hook=policy.get("BeforeAllowTrafficHook"),
            after_hook=policy.get("AfterAllowTrafficHook"),
        )

    def _policy(
        self,
        stack_name: str,
        stack: Mapping[str, Any],
        template: Mapping[str, Any],
        values: Mapping[str, Any],
        logical_id: str | None,
    ) -> Mapping[str, Any] | None:
        """The alias's update policy, with names in place of references."""
        policy = (template["Resources"].get(logical_id) or {}).get("UpdatePolicy") or {}
        resolved: Mapping[str, Any] | None = self._engine._resolve_refs(
            copy.deepcopy(policy.get("CodeDeployLambdaAliasUpdate")),
            stack["_resources"],
            values,
            self._engine._evaluate_conditions(template, values),
            template.get("Mappings", {}),
            stack_name,
            stack["StackId"],
        )
        return resolved
