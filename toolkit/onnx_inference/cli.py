"""The command `onnx-inference`. Each sub-command's module is imported when the sub-command is called."""

import sys
from importlib import import_module

import click

#: By name: the module that has the command, and what the list of commands says of it.
_COMMANDS = {
    "doctor": ("onnx_inference.doctor.command", "Find in templates what CDK lets through and what hurts later."),
    "infer": ("onnx_inference.infer.command", "Send one inference request and print the prediction."),
    "local": ("onnx_inference.local.command", "Deploy the app to an embedded cloud and serve it here."),
    "prepare": ("onnx_inference.prepare.command", "Make a model package of an ONNX model."),
    "redrive": ("onnx_inference.jobs.redrive_command", "Run failed jobs again."),
    "submit": ("onnx_inference.jobs.submit_command", "Submit inference jobs and print their ids."),
    "wait": ("onnx_inference.jobs.wait_command", "Wait for jobs and print what became of them."),
}


class _LateGroup(click.Group):
    """A group that imports a command when it is called, and lists all without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, _ = _COMMANDS[cmd_name]
        command = getattr(import_module(module), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.command(cls=_LateGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="cdk-onnx-inference", prog_name="onnx-inference")
def main() -> None:
    """Serve ONNX models on AWS Lambda: tools for the machine you develop on."""


if __name__ == "__main__":
    sys.exit(main())
