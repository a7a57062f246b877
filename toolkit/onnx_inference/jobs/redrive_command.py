"""`onnx-inference redrive`: run failed jobs again."""

import click

from onnx_inference.extras import MissingExtra, import_from_extra
from onnx_inference.jobs.redrive import Redrive, RedriveError


@click.command()
@click.argument("stack", required=False)
@click.option("--queue", metavar="NAME|URL", help="The job queue, instead of a stack's output JobsQueue.")
@click.option("--parked", metavar="NAME|URL", help="The queue of parked messages, instead of ParkedQueue.")
@click.option("--table", metavar="NAME", help="The table, instead of JobsTable.")
@click.option("--region", help="The region. Default: AWS_REGION, or that of the AWS configuration.")
@click.option("--limit", type=click.IntRange(min=1), help="How many parked messages to look at, at most. Default: all.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def redrive(
    stack: str | None,
    queue: str | None,
    parked: str | None,
    table: str | None,
    region: str | None,
    limit: int | None,
    dry_run: bool,
) -> None:
    """Move the parked messages of failed jobs back to the job queue of STACK: each job is run again, once.

    Jobs that are not FAILED are left as they are. Needs access to the queues and the table only.
    """
    names = (queue, parked, table)
    if any(names) if stack is not None else not all(names):
        raise click.UsageError("Name the stack, or all of --queue, --parked and --table.")
    try:
        aws_errors = import_from_extra("botocore.exceptions", "infer")
    except MissingExtra as error:
        raise click.ClickException(str(error)) from error
    moved = left = 0
    try:
        work = Redrive(region)
        named = (queue or "", parked or "", table or "")
        resources = work.named(*named) if stack is None else work.of_stack(stack)
        for one in work.run(resources, dry_run=dry_run, limit=limit):
            moved, left = moved + one.moved, left + (not one.moved)
            verb = ("would move" if dry_run else "moved") if one.moved else "left"
            click.echo(f"{verb} {one.id}: {one.reason}")
    except (RedriveError, aws_errors.BotoCoreError, aws_errors.ClientError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{moved} {'would be moved' if dry_run else 'moved'}, {left} left")
