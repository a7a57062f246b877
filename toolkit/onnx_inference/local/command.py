"""`onnx-inference local`: deploys the app to an embedded cloud and serves it until Ctrl-C."""

import contextlib
import signal
import sys
import threading
from pathlib import Path
from types import FrameType

import click
from rich.console import Console

from onnx_inference.extras import MissingExtra
from onnx_inference.local import (
    AssemblyError,
    CdkCliError,
    Clock,
    CloudError,
    DeploymentError,
    HostLimits,
    IncompleteDeployment,
    LocalTwin,
    SynthesisError,
)
from onnx_inference.local.cloud.state import StateError
from onnx_inference.local.credentials import DEFAULT_ACCOUNT, DEFAULT_REGION
from onnx_inference.local.lambda_host.invocation import NotServed
from onnx_inference.local.load.command import duration as load_duration
from onnx_inference.local.load.command import rate as load_rate
from onnx_inference.local.load.command import run_load
from onnx_inference.local.load.load_test import LoadError, LoadPlan
from onnx_inference.local.load.request_body import LoadRequest
from onnx_inference.local.report import Report

_FAILURES = (
    AssemblyError,
    CdkCliError,
    CloudError,
    DeploymentError,
    IncompleteDeployment,
    LoadError,
    MissingExtra,
    NotServed,
    StateError,
    SynthesisError,
    OSError,
)


@click.command()
@click.argument("stacks", nargs=-1, metavar="[STACK]...")
@click.option("--app", metavar="COMMAND", help="The app's command. Default: `app` of cdk.json.")
@click.option(
    "--assembly",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Deploy this cloud assembly (cdk.out) instead of running an app.",
)
@click.option("-c", "--context", "context", multiple=True, metavar="KEY=VALUE", help="A context value; repeatable.")
@click.option("--cdk-cli", is_flag=True, help="Deploy by the real CDK CLI: bootstrap, change set, outputs.")
@click.option(
    "--container-engine",
    metavar="PODMAN|DOCKER",
    help="Really build the images, and run them in containers. With --cdk-cli. Default: processes, no engine needed.",
)
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the first API; the next follow. Default: free.")
@click.option("--no-auth", is_flag=True, help="Let every request through, signed or not.")
@click.option("--region", default=DEFAULT_REGION, show_default=True, help="Region of stacks that leave it open.")
@click.option(
    "--account",
    default=DEFAULT_ACCOUNT,
    show_default=True,
    metavar="ID",
    help="Account of stacks that leave it open.",
)
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Keep the cloud's state there when stopping, and go on from it. Default: every run begins empty.",
)
@click.option(
    "--speed",
    type=click.FloatRange(min=0.0, min_open=True),
    default=1.0,
    show_default=True,
    help="Speed of the clock that idle expiry, schedules and scaling run on.",
)
@click.option(
    "--max-environments",
    type=click.IntRange(1),
    help="Most environments of a function version, without provisioned ones. Default: two per processor, at least 10.",
)
@click.option(
    "--load", "rate", callback=load_rate, metavar="RATE", help="Send requests to the first API, like 20rps; then end."
)
@click.option(
    "--for",
    "seconds",
    callback=load_duration,
    default="60s",
    show_default=True,
    metavar="TIME",
    help="For how long: 60s, 5m.",
)
@click.option(
    "--report",
    "report_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the load's report here, and the timeline of environments beside it.",
)
@click.option(
    "--dashboard",
    "dashboard_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Draw the deployed dashboards here, with the metrics of the load.",
)
@click.option(
    "--body",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File with the request's body. Default: zeros for every input that the model declares.",
)
@click.option("--path", metavar="PATH", help="Where to send --body, after the API's URL.")
@click.option("-v", "--verbose", is_flag=True, help="Print embedded metrics too.")
def local(
    stacks: tuple[str, ...],
    app: str | None,
    assembly: Path | None,
    context: tuple[str, ...],
    cdk_cli: bool,
    container_engine: str | None,
    port: int | None,
    no_auth: bool,
    region: str,
    account: str,
    state: Path | None,
    speed: float,
    max_environments: int | None,
    rate: float | None,
    seconds: float,
    report_path: Path | None,
    dashboard_path: Path | None,
    body: Path | None,
    path: str | None,
    verbose: bool,
) -> None:
    """Deploy STACKs (default: all) to an embedded cloud and serve their APIs on loopback until Ctrl-C.

    No AWS account is needed, and no container engine unless you name one.
    """
    if app is not None and assembly is not None:
        raise click.UsageError("--app and --assembly exclude each other.")
    if container_engine is not None and not cdk_cli:
        raise click.UsageError("--container-engine needs --cdk-cli, which builds and pushes the images.")
    if rate is None and any(option is not None for option in (report_path, dashboard_path, body, path)):
        raise click.UsageError("--report, --dashboard, --body and --path belong to --load.")
    if body is not None and path is None:
        raise click.UsageError("--body needs --path: where it is to be sent.")
    report = Report(Console(highlight=False), verbose=verbose)
    _interrupt_on_termination()
    twin = LocalTwin(
        account=account,
        region=region,
        first_port=port,
        enforce_auth=not no_auth,
        container_engine=container_engine,
        state_directory=state,
        limits=None if max_environments is None else HostLimits(environments_per_version=max_environments),
        clock=Clock(speed=speed),
        on_request=report.request,
        on_invocation=report.invocation,
        on_log=report.log,
    )
    try:
        with twin:
            report.say(f"Deploying to {twin.credentials.endpoint_url} ...")
            twin.deploy(app=app, assembly=assembly, context=_pairs(context), stacks=stacks, cdk_cli=cdk_cli)
            _introduce(twin, report, no_auth=no_auth)
            if rate is not None:
                run_load(twin, report, LoadPlan(rate, seconds), _request(body, path), report_path, dashboard_path)
                return
            report.say("Ready. Press Ctrl-C to stop.", style="bold green")
            with contextlib.suppress(KeyboardInterrupt):
                threading.Event().wait()
            # A second Ctrl-C would leave processes behind.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            report.say("Stopping ...")
    except KeyboardInterrupt:
        sys.exit(130)
    except _FAILURES as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _introduce(twin: LocalTwin, report: Report, *, no_auth: bool) -> None:
    endpoints = twin.endpoints()
    commands = {str(f): twin.command_of(f) for endpoint in endpoints for f in endpoint.functions}
    report.endpoints(endpoints, commands)
    report.rollouts(twin.rollouts())
    report.event_sources(twin.event_sources())
    report.recorded_only(twin.recorded_only())
    report.outputs(twin.outputs(local=True))
    if no_auth:
        report.say("WARNING: --no-auth: every request is let through. On AWS the same APIs refuse them.", "bold red")
    report.say("To sign requests, or to point an SDK at this cloud:")
    report.say(twin.credentials.export_lines())
    for name, reason in twin.refused_schedules().items():
        report.say(f"WARNING: the schedule {name} never fires: {reason}", "bold red")


def _request(body: Path | None, path: str | None) -> LoadRequest | None:
    if path is None:
        return None
    if body is None:
        return LoadRequest(path.lstrip("/"), method="GET")
    kind = "application/json" if body.suffix == ".json" else "application/octet-stream"
    return LoadRequest(path.lstrip("/"), headers={"Content-Type": kind}, body=body.read_bytes())


def _interrupt_on_termination() -> None:
    """Let a request to terminate end the command as Ctrl-C does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGINT, interrupt)


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, separator, text = value.partition("=")
        if not separator or not name:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE", param_hint="'-c'")
        pairs[name] = text
    return pairs
