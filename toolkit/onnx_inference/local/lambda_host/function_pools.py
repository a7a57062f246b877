"""The pools of environments of all function versions."""

import functools
import threading
from collections.abc import Callable, Iterable

from onnx_inference.local.clock import Clock
from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.execution_environment import ExecutionEnvironment
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.function_pool import Acquired, FunctionPool, PoolClosed
from onnx_inference.local.lambda_host.invocation import NotServed

#: Makes an environment of a version: of an initialisation type, and for the alias or version it is provisioned for.
EnvironmentMaker = Callable[[FunctionConfiguration, str, str | None], ExecutionEnvironment]
#: Tells versions apart: the function's ARN, the version, and the revision of its configuration.
PoolKey = tuple[str, str, str]


def pool_key(configuration: FunctionConfiguration) -> PoolKey:
    """The key of a version's pool. A changed configuration of `$LATEST` has another one."""
    return (str(configuration.arn), configuration.version, configuration.revision)


class FunctionPools:
    """One pool for each version that is used. Stops idle environments in a thread of its own.

    Args:
        create: Makes an environment.
        limit: How many environments on demand a version may have.
        idle_seconds: How long an unused environment is kept, on the clock.
        clock: The twin's clock.
    """

    def __init__(self, create: EnvironmentMaker, *, limit: int, idle_seconds: float, clock: Clock) -> None:
        self._create = create
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._pools: dict[PoolKey, FunctionPool] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._janitor = threading.Thread(target=self._expire_idle, name="lambda-idle-expiry", daemon=True)
        self._janitor.start()

    def of(self, configuration: FunctionConfiguration) -> FunctionPool:
        """The pool of a version, made when there is none.

        Raises:
            NotServed: The twin is stopping.
        """
        key = pool_key(configuration)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None and not self._closing.is_set():
                pool = FunctionPool(
                    functools.partial(self._create, configuration),
                    limit=self._limit,
                    idle_seconds=self._idle_seconds,
                    now=self._clock.time,
                    snap_start=configuration.snap_start,
                )
                self._pools[key] = pool
        if pool is None:
            raise NotServed("The twin is stopping.")
        return pool

    def acquire(
        self, configuration: FunctionConfiguration, qualifier: str | None = None
    ) -> tuple[FunctionPool, Acquired]:
        """An environment for one invocation, with its pool. See `FunctionPool.acquire`.

        Raises:
            NotServed: The twin is stopping, or cannot run this function.
        """
        while True:
            pool = self.of(configuration)
            try:
                return pool, pool.acquire(qualifier)
            except PoolClosed:
                if self._closing.is_set():
                    raise NotServed("The twin is stopping.") from None

    def replace(
        self, pool: FunctionPool, environment: ExecutionEnvironment, configuration: FunctionConfiguration
    ) -> tuple[FunctionPool, ExecutionEnvironment]:
        """A new environment in place of one whose init phase failed, with its pool.

        Raises:
            NotServed: The twin is stopping.
        """
        pool.discard(environment, life.INIT_FAILED)
        while True:
            pool, acquired = self.acquire(configuration)
            if acquired.fresh:
                return pool, acquired.environment
            pool.release(acquired.environment)

    def all(self) -> dict[PoolKey, FunctionPool]:
        """Every pool there is at the moment."""
        with self._lock:
            return dict(self._pools)

    def retain(self, live: Iterable[PoolKey]) -> None:
        """Retire the pools of all other versions."""
        kept = set(live)
        with self._lock:
            gone = [self._pools.pop(key) for key in list(self._pools) if key not in kept]
        for pool in gone:
            pool.retire()

    def close(self) -> None:
        """Stop every environment, also those that serve."""
        self._closing.set()
        self._clock.wake()
        with self._lock:
            pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            pool.close()
        self._janitor.join(timeout=5)

    def _expire_idle(self) -> None:
        interval = max(0.05, min(30.0, self._idle_seconds / 4))
        while self._clock.wait_until(self._clock.time() + interval, self._closing.is_set):
            for pool in self.all().values():
                pool.expire()
