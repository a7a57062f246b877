"""The command `onnx-inference`: one sub-package per sub-command, each imported when it is called."""

import sys
from importlib import import_module

import click

_COMMANDS = {
    "doctor": (
        "onnx_inference.doctor.command",
        "doctor",
        "Find in templates what CDK lets through and what hurts later.",
    ),
    "infer": ("onnx_inference.infer.command", "infer", "Send one inference request and print the prediction."),
    "local": ("onnx_inference.local.command", "local", "Deploy the app to an embedded cloud and serve it here."),
    "redrive": ("onnx_inference.jobs.redrive_command", "redrive", "Give failed jobs another run."),
    "submit": ("onnx_inference.jobs.submit_command", "submit", "Submit inference jobs and print their ids."),
    "wait": ("onnx_inference.jobs.wait_command", "wait", "Wait for jobs and print what became of them."),
    "prepare": ("onnx_inference.prepare.command", "prepare", "Make a model package of an ONNX model."),
}


class _LateGroup(click.Group):
    """A group whose commands are imported when they are called, and listed without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, _COMMANDS[name][2]) for name in sorted(_COMMANDS)])


@click.command(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-onnx-inference", prog_name="onnx-inference")
def main() -> None:
    """Serve ONNX models on AWS Lambda: tools for the machine you develop on."""


if __name__ == "__main__":
    sys.exit(main())
