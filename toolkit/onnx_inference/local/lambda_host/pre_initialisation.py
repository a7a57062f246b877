"""Environments that are initialised before an invocation needs them: provisioned concurrency and SnapStart."""

import contextlib
import json
import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from onnx_inference.local.lambda_host import environment_records as life
from onnx_inference.local.lambda_host.execution_environment import ExecutionEnvironment
from onnx_inference.local.lambda_host.function_configuration import FunctionConfiguration
from onnx_inference.local.lambda_host.function_pool import FunctionPool
from onnx_inference.local.lambda_host.function_pools import FunctionPools, pool_key
from onnx_inference.local.lambda_host.invocation import NotServed
from onnx_inference.local.lambda_host.outcome import Outcome

#: The init phase of a pre-initialised environment may take this long, or as long as the function's timeout.
_INIT_SECONDS = 130.0


class InitFailed(RuntimeError):
    """Environments could not be pre-initialised; the message is the function's."""


def init_seconds(configuration: FunctionConfiguration) -> float:
    """How long the init phase of a pre-initialised environment may take."""
    return max(_INIT_SECONDS, float(configuration.timeout_seconds))


class PreInitialisation:
    """Keeps provisioned environments and snapshot processes.

    Args:
        pools: Where the environments are kept.
    """

    def __init__(self, pools: FunctionPools) -> None:
        self._pools = pools
        self._provisioning = threading.Lock()
        self._background: set[threading.Thread] = set()
        self._lock = threading.Lock()

    # -- provisioned concurrency --------------------------------------------------------------------------------

    def provision(self, look_up: Callable[[], Mapping[tuple[FunctionConfiguration, str], int]]) -> None:
        """Start the environments that are missing, wait until they are initialised, and stop those that are too many.

        Args:
            look_up: Tells how many environments each version keeps for each alias or version number. Called when no
                other call of this method is under way.

        Raises:
            InitFailed: The init phase of a function failed.
        """
        with self._provisioning:
            wanted = look_up()
            failures = [
                failure
                for (configuration, qualifier), count in wanted.items()
                if (failure := self._provision(configuration, qualifier, count)) is not None
            ]
            kept = {(pool_key(configuration), qualifier) for configuration, qualifier in wanted}
            for key, pool in self._pools.all().items():
                for qualifier in pool.provisioned():
                    if (key, qualifier) not in kept:
                        pool.provision(qualifier, 0)
        if failures:
            raise InitFailed("\n".join(failures))

    def refill(self, configuration: FunctionConfiguration, pool: FunctionPool) -> None:
        """Replace provisioned environments that ended, as Lambda does. Runs in the background."""

        def refill() -> None:
            with self._provisioning:
                self._initialise(configuration, pool, pool.missing())

        self._in_background(refill)

    def _provision(self, configuration: FunctionConfiguration, qualifier: str, count: int) -> str | None:
        pool = self._pools.of(configuration)
        failure = self._initialise(configuration, pool, pool.provision(qualifier, count))
        if failure is None:
            return None
        # Otherwise each invocation would start them again, in vain.
        pool.provision(qualifier, 0)
        return f"Provisioned concurrency of {configuration.name}:{qualifier}: {failure}"

    def _initialise(
        self, configuration: FunctionConfiguration, pool: FunctionPool, environments: list[ExecutionEnvironment]
    ) -> str | None:
        """Initialise environments and give them to the pool; returns the first failure."""

        def initialise(environment: ExecutionEnvironment) -> str | None:
            try:
                outcome = environment.initialise("provisioned", init_seconds(configuration))
            except NotServed as error:
                pool.discard(environment, life.STOPPED)
                return str(error)
            if outcome.status == "success":
                pool.release(environment)
                return None
            pool.discard(environment, life.INIT_FAILED)
            return _error_text(outcome)

        if not environments:
            return None
        with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as workers:
            failures = [failure for failure in workers.map(initialise, environments) if failure is not None]
        return failures[0] if failures else None

    # -- SnapStart ----------------------------------------------------------------------------------------------

    def snapshot(self, configuration: FunctionConfiguration) -> None:
        """Initialise a process of a version up to its snapshot and keep it, unless there is one.

        Raises:
            InitFailed: The init phase failed: there is no snapshot.
            NotServed: The twin cannot run this function.
        """
        failure = self._keep_spare(configuration, self._pools.of(configuration))
        if failure is not None:
            raise InitFailed(f"{configuration.name} version {configuration.version}: {failure}")

    def keep_spare(self, configuration: FunctionConfiguration, pool: FunctionPool) -> None:
        """Do the same in the background, after an environment was restored."""
        self._in_background(lambda: self._keep_spare(configuration, pool))

    def _keep_spare(self, configuration: FunctionConfiguration, pool: FunctionPool) -> str | None:
        environment = pool.spare()
        if environment is None:
            return None
        try:
            outcome = environment.initialise("snapshot", init_seconds(configuration))
        except BaseException:
            pool.spare_failed()
            raise
        if outcome.status == "success" and environment.waits_for_restore:
            pool.keep_spare(environment)
            return None
        pool.spare_failed()
        environment.stop(life.INIT_FAILED)
        return _error_text(outcome)

    # -- background ---------------------------------------------------------------------------------------------

    def join(self) -> None:
        """Wait for what runs in the background. It ends soon once the pools are closed."""
        with self._lock:
            background = list(self._background)
        for thread in background:
            thread.join(timeout=5)

    def _in_background(self, work: Callable[[], object]) -> None:
        def run() -> None:
            with contextlib.suppress(NotServed):
                work()
            with self._lock:
                self._background.discard(threading.current_thread())

        thread = threading.Thread(target=run, name="lambda-background", daemon=True)
        with self._lock:
            self._background.add(thread)
        thread.start()


def _error_text(outcome: Outcome) -> str:
    try:
        error = json.loads(outcome.payload)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (KeyError, TypeError, ValueError):
        return outcome.error_type or "the runtime did not ask for events"
