"""The execution environments of one function version: reused, added under concurrency, expired when idle."""

import threading
import time
from collections.abc import Callable

from onnx_inference.local.lambda_host.execution_environment import ExecutionEnvironment


class PoolClosed(Exception):
    """The pool ended while an invocation waited for an environment."""


class FunctionPool:
    """Hands out environments, each to one invocation at a time.

    Args:
        create: Makes an environment, not yet initialised.
        limit: How many there may be. Lambda has no such limit per version; a laptop has. Beyond it an invocation
            waits for an environment to come free.
        idle_seconds: How long an unused environment is kept.
    """

    def __init__(self, create: Callable[[], ExecutionEnvironment], *, limit: int, idle_seconds: float) -> None:
        self._create = create
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._idle: list[ExecutionEnvironment] = []
        self._all: dict[int, ExecutionEnvironment] = {}
        self._keep = 0
        self._closed = False
        self._changed = threading.Condition()

    def acquire(self) -> tuple[ExecutionEnvironment, bool]:
        """An environment for one invocation, and whether it is cold: then the caller initialises it.

        Raises:
            PoolClosed: The pool has ended.
        """
        dead: list[ExecutionEnvironment] = []
        try:
            with self._changed:
                while True:
                    if self._closed:
                        raise PoolClosed
                    while self._idle:
                        environment = self._idle.pop()
                        if environment.alive:
                            return environment, False
                        dead.append(self._all.pop(id(environment)))
                    if len(self._all) < self._limit:
                        environment = self._create()
                        self._all[id(environment)] = environment
                        return environment, True
                    self._changed.wait()
        finally:
            for environment in dead:
                environment.stop()

    def release(self, environment: ExecutionEnvironment) -> None:
        """Give back an environment that can serve again."""
        with self._changed:
            if not self._closed and environment.alive:
                self._idle.append(environment)
                self._changed.notify()
                return
        self.discard(environment)

    def discard(self, environment: ExecutionEnvironment) -> None:
        """Give back an environment that cannot serve again; it is stopped."""
        environment.stop()
        with self._changed:
            self._all.pop(id(environment), None)
            self._changed.notify()

    def provision(self, count: int, create: Callable[[], ExecutionEnvironment]) -> list[ExecutionEnvironment]:
        """Keep this many environments for ever: provisioned concurrency.

        Args:
            count: How many; at most the pool's limit are kept.
            create: Makes such an environment.

        Returns:
            The environments that were missing: the caller initialises them and gives them back.
        """
        with self._changed:
            self._keep = min(count, self._limit)
            missing = [create() for _ in range(self._keep - len(self._all))]
            self._all.update({id(environment): environment for environment in missing})
        return missing

    def expire(self) -> None:
        """Stop the environments that were idle for too long."""
        horizon = time.monotonic() - self._idle_seconds
        with self._changed:
            old = [environment for environment in self._idle if environment.last_used < horizon]
            old = old[: max(0, len(self._all) - self._keep)]
            for environment in old:
                self._idle.remove(environment)
                self._all.pop(id(environment))
            self._changed.notify_all()
        for environment in old:
            environment.stop()

    def close(self) -> None:
        """Stop every environment, also those that serve."""
        with self._changed:
            self._closed = True
            environments = list(self._all.values())
            self._idle.clear()
            self._all.clear()
            self._changed.notify_all()
        for environment in environments:
            environment.stop()

    def retire(self) -> None:
        """Take no more invocations; stop what is idle now and the rest when it is given back."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for environment in idle:
                self._all.pop(id(environment))
            self._changed.notify_all()
        for environment in idle:
            environment.stop()

    def environments(self) -> list[ExecutionEnvironment]:
        """All environments there are at the moment."""
        with self._changed:
            return list(self._all.values())
