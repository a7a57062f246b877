"""`onnx-inference doctor`: find in templates what CDK lets through and what hurts later."""

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

from onnx_inference.doctor.checks import ALL
from onnx_inference.doctor.examination import NotATemplate, examine, templates
from onnx_inference.doctor.finding import Finding

_CODES = [check.code for check in ALL]


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option(
    "--ignore", multiple=True, type=click.Choice(_CODES), metavar="CODE", help="Leave a check out; repeatable."
)
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option("--list", "as_list", is_flag=True, help="Print the checks, and stop.")
def doctor(paths: tuple[Path, ...], ignore: tuple[str, ...], strict: bool, as_json: bool, as_list: bool) -> None:
    """Examine PATHs (default: cdk.out): cloud assemblies that `cdk synth` wrote, or templates in JSON.

    Exit status: 0; 1 when there are errors (with --strict: or warnings); 2 when a PATH cannot be read.
    """
    console = Console(highlight=False, soft_wrap=True)
    if as_list:
        for check in ALL:
            console.print(Text.assemble((check.code, "bold"), f"  {check.title}. {check.why}\n    {check.source}"))
        return
    try:
        examined = [template for path in paths or (Path("cdk.out"),) for template in templates(path)]
    except NotATemplate as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    found = [(template.name, finding) for template in examined for finding in examine(template, ignore=ignore)]
    if as_json:
        click.echo(json.dumps([{"template": name, **asdict(finding)} for name, finding in found], indent=2))
    else:
        _print(console, found, len(examined))
    if any(strict or finding.severity == "error" for _, finding in found):
        sys.exit(1)


def _print(console: Console, found: list[tuple[str, Finding]], examined: int) -> None:
    heading = ""
    for name, finding in found:
        if name != heading:
            console.print(Text(name, style="bold"))
            heading = name
        style = "red" if finding.severity == "error" else "yellow"
        where = f"{finding.logical_id}.{finding.location}" if finding.location else finding.logical_id
        console.print(Text.assemble((f"  {finding.severity} ", style), (finding.code, "bold"), f"  {where}"))
        if finding.construct_path:
            console.print(Text(f"    at       {finding.construct_path}", style="dim"))
        console.print(Text(f"    got      {finding.got}"))
        console.print(Text(f"    allowed  {finding.allowed}"))
        console.print(Text(f"    fix      {finding.fix}"))
    errors = sum(finding.severity == "error" for _, finding in found)
    templates_word = "1 template" if examined == 1 else f"{examined} templates"
    console.print(Text(f"{templates_word}: {errors} errors, {len(found) - errors} warnings"))
