"""The execution environments of one function version: reused, added under concurrency, expired when idle."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.execution_environment import ExecutionEnvironment


class PoolClosed(Exception):
    """The pool ended while an invocation waited for an environment."""


@dataclass(frozen=True)
class Acquired:
    """An environment for one invocation.

    Attributes:
        environment: The environment.
        fresh: Whether it has served nothing yet: the caller initialises or restores it first.
        spillover: Whether it is not provisioned, because all provisioned environments were busy.
    """

    environment: ExecutionEnvironment
    fresh: bool
    spillover: bool


class FunctionPool:
    """Hands out environments, each to one invocation at a time.

    Args:
        create: Makes an environment that is not yet initialised. Takes its initialisation type, and the alias or
            version whose provisioned concurrency it is part of.
        limit: How many environments there may be without the provisioned ones. When all are busy, an invocation waits
            for one; Lambda has no such limit per version.
        idle_seconds: How long an unused environment is kept.
        now: Tells the time on the twin's clock.
        snap_start: Whether environments are restored from snapshots.
    """

    def __init__(
        self,
        create: Callable[[str, str | None], ExecutionEnvironment],
        *,
        limit: int,
        idle_seconds: float,
        now: Callable[[], float],
        snap_start: bool = False,
    ) -> None:
        self._create = create
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._now = now
        self.snap_start = snap_start
        self._idle: list[ExecutionEnvironment] = []
        self._all: dict[int, ExecutionEnvironment] = {}
        self._keep: dict[str, int] = {}
        self._spares: list[ExecutionEnvironment] = []
        self._making_spare = False
        self._closed: str | None = None
        self._changed = threading.Condition()

    # -- for invocations ----------------------------------------------------------------------------------------

    def acquire(self, qualifier: str | None = None) -> Acquired:
        """An environment for one invocation: a provisioned one, else an idle one, else a new one.

        Args:
            qualifier: The invoked alias or version. Its provisioned environments serve no other.

        Raises:
            PoolClosed: The pool has ended.
        """
        dead: list[ExecutionEnvironment] = []
        try:
            with self._changed:
                while True:
                    if self._closed is not None:
                        raise PoolClosed
                    spillover = self._keep.get(qualifier or "", 0) > 0
                    for wanted in (qualifier, None) if spillover else (None,):
                        found = self._take_idle(wanted, dead)
                        if found is not None:
                            return Acquired(found, False, spillover and wanted is None)
                    if sum(e.provisioned_for is None for e in self._all.values()) < self._limit:
                        return Acquired(self._new(dead), True, spillover)
                    self._changed.wait()
        finally:
            for environment in dead:
                environment.stop(life.EXITED)

    def _take_idle(self, provisioned_for: str | None, dead: list[ExecutionEnvironment]) -> ExecutionEnvironment | None:
        """The idle environment that was used last."""
        for environment in reversed(self._idle):
            if environment.provisioned_for == provisioned_for:
                self._idle.remove(environment)
                if environment.alive:
                    return environment
                dead.append(self._all.pop(id(environment)))
        return None

    def _new(self, dead: list[ExecutionEnvironment]) -> ExecutionEnvironment:
        environment = None
        while self._spares and environment is None:
            spare = self._spares.pop()
            if spare.alive:
                environment = spare
            else:
                dead.append(spare)
        if environment is None:
            environment = self._create(life.SNAP_START if self.snap_start else life.ON_DEMAND, None)
        self._all[id(environment)] = environment
        return environment

    def release(self, environment: ExecutionEnvironment) -> None:
        """Give back an environment that can serve again."""
        with self._changed:
            surplus = environment.provisioned_for is not None and self._surplus(environment.provisioned_for) > 0
            if self._closed is None and environment.alive and not surplus:
                self._idle.append(environment)
                self._changed.notify_all()
                return
        self.discard(environment, self._closed or (life.SCALED_IN if surplus else life.EXITED))

    def discard(self, environment: ExecutionEnvironment, cause: str) -> None:
        """Give back an environment that cannot serve again, and stop it."""
        environment.stop(cause)
        with self._changed:
            self._all.pop(id(environment), None)
            self._changed.notify_all()

    # -- provisioned concurrency --------------------------------------------------------------------------------

    def provision(self, qualifier: str, count: int) -> list[ExecutionEnvironment]:
        """Set how many environments are kept for an alias or version. Surplus ones are stopped once they are idle.

        Returns:
            The environments that were missing: the caller initialises them and gives them back.
        """
        with self._changed:
            self._keep[qualifier] = count
            surplus = max(0, self._surplus(qualifier))
            stopped = [e for e in self._idle if e.provisioned_for == qualifier][:surplus]
            for environment in stopped:
                self._idle.remove(environment)
                self._all.pop(id(environment))
            missing = [] if self._closed is not None else self._make_missing(qualifier)
            self._changed.notify_all()
        for environment in stopped:
            environment.stop(life.SCALED_IN)
        return missing

    def missing(self) -> list[ExecutionEnvironment]:
        """New environments in place of provisioned ones that ended. The caller initialises them and gives them back."""
        with self._changed:
            if self._closed is not None:
                return []
            return [environment for qualifier in self._keep for environment in self._make_missing(qualifier)]

    def provisioned(self) -> dict[str, int]:
        """How many environments are kept, by alias or version."""
        with self._changed:
            return {qualifier: count for qualifier, count in self._keep.items() if count}

    def utilization(self, qualifier: str) -> float | None:
        """The share of the provisioned environments that serve at this moment; None when none are kept."""
        with self._changed:
            keep = self._keep.get(qualifier, 0)
            allocated = sum(e.provisioned_for == qualifier for e in self._all.values())
            idle = sum(e.provisioned_for == qualifier for e in self._idle)
            return min(1.0, (allocated - idle) / keep) if keep else None

    def _surplus(self, qualifier: str) -> int:
        allocated = Counter(e.provisioned_for for e in self._all.values())[qualifier]
        return allocated - self._keep.get(qualifier, 0)

    def _make_missing(self, qualifier: str) -> list[ExecutionEnvironment]:
        made = [self._create(life.PROVISIONED, qualifier) for _ in range(-min(0, self._surplus(qualifier)))]
        self._all.update({id(environment): environment for environment in made})
        return made

    # -- SnapStart ----------------------------------------------------------------------------------------------

    def spare(self) -> ExecutionEnvironment | None:
        """A new environment to be initialised up to its snapshot; None when one is kept or being made.

        The caller initialises it, and calls `keep_spare` or `spare_failed`.
        """
        with self._changed:
            self._spares = [spare for spare in self._spares if spare.alive]
            if self._closed is not None or self._spares or self._making_spare:
                return None
            self._making_spare = True
        try:
            return self._create(life.SNAP_START, None)
        except BaseException:
            self.spare_failed()
            raise

    def keep_spare(self, environment: ExecutionEnvironment) -> None:
        """Keep an environment that was initialised up to its snapshot."""
        with self._changed:
            self._making_spare = False
            if self._closed is None:
                self._spares.append(environment)
                return
        environment.stop(self._closed)

    def spare_failed(self) -> None:
        """Note that the new environment could not be initialised."""
        with self._changed:
            self._making_spare = False

    # -- end ----------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Stop the environments that were idle for too long, but never provisioned ones."""
        horizon = self._now() - self._idle_seconds
        with self._changed:
            old = [e for e in self._idle if e.last_used < horizon and e.provisioned_for is None]
            for environment in old:
                self._idle.remove(environment)
                self._all.pop(id(environment))
            self._changed.notify_all()
        for environment in old:
            environment.stop(life.IDLE_EXPIRY)

    def forget(self, chosen: Callable[[ExecutionEnvironment], bool]) -> None:
        """Stop some of the idle environments that are not provisioned.

        Args:
            chosen: Tells whether to stop one.
        """
        with self._changed:
            stopped = [e for e in self._idle if e.provisioned_for is None and chosen(e)]
            for environment in stopped:
                self._idle.remove(environment)
                self._all.pop(id(environment))
            self._changed.notify_all()
        for environment in stopped:
            environment.stop(life.STOPPED)

    def close(self) -> None:
        """Stop every environment, also those that serve."""
        with self._changed:
            self._closed = life.STOPPED
            environments = [*self._all.values(), *self._spares]
            self._idle.clear()
            self._all.clear()
            self._spares.clear()
            self._changed.notify_all()
        for environment in environments:
            environment.stop(life.STOPPED)

    def retire(self) -> None:
        """Take no more invocations. Idle environments are stopped now, busy ones when they are given back."""
        with self._changed:
            self._closed = life.REPLACED
            idle, self._idle = [*self._idle, *self._spares], []
            self._spares = []
            for environment in idle:
                self._all.pop(id(environment), None)
            self._changed.notify_all()
        for environment in idle:
            environment.stop(life.REPLACED)

    def environments(self) -> list[ExecutionEnvironment]:
        """All environments at the moment, also the one kept at its snapshot."""
        with self._changed:
            return [*self._all.values(), *self._spares]
