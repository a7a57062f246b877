"""The prebuilt stacks on this machine: deploy Realtime with the real CDK CLI, predict, destroy; then jobs.

    python examples/digits/demo.py              # in a checkout; `make demo` installs what it needs

The cloud is embedded in this process. The CDK CLI and its template, the events and the IAM authorisation of API
Gateway, and the handler under awslambdaric are real. The jobs are in `jobs_demo.py`. The exit status is 0 if every
label was right and every job ended as expected.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from statistics import median

import jobs_demo
import numpy as np
from rich.console import Console

from onnx_inference.infer import EndpointClient, Model
from onnx_inference.local import InvocationRecord, LocalTwin

FOLDER = Path(__file__).resolve().parent
PROJECT = FOLDER.parents[1]
GOLDENS = FOLDER / "goldens"
SHADES = " ░▒▓█"  # from background to ink
PICTURES_IN_A_ROW = 4

console = Console(highlight=False)


def picture(image: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[str]:
    """An image of 8 x 8 pixels as eight lines of text, two characters to a pixel."""
    levels = np.rint(image.reshape(8, 8) * (len(SHADES) - 1)).astype(int)
    return ["".join(SHADES[level] * 2 for level in row) for row in levels]


def show(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]], labels: list[int], predicted: list[int]) -> None:
    """Prints the images in rows, each over what was predicted for it."""
    for start in range(0, len(images), PICTURES_IN_A_ROW):
        row = range(start, min(start + PICTURES_IN_A_ROW, len(images)))
        for lines in zip(*(picture(images[index]) for index in row), strict=True):
            console.print("   " + "   ".join(lines), soft_wrap=True)
        captions = (
            f"predicted {predicted[index]} " + ("right" if predicted[index] == labels[index] else f"IS {labels[index]}")
            for index in row
        )
        console.print("   " + "   ".join(f"{caption:<16}" for caption in captions) + "\n", soft_wrap=True)


def timing(records: list[InvocationRecord]) -> str:
    """The durations of the cold invocation and of the warm ones, as the twin measured them."""
    cold = [record for record in records if record.cold_start]
    warm = [record.duration_ms for record in records if not record.cold_start]
    first = cold[0]
    return (
        f"Cold: {first.init_duration_ms or 0:.0f} ms to initialise, model included, and {first.duration_ms:.1f} ms to "
        f"answer. Warm: {median(warm):.2f} ms (median of {len(warm)})."
    )


def main() -> int:
    """Runs the demonstration."""
    images = np.load(GOLDENS / "images.npy")
    labels = np.load(GOLDENS / "labels.npy").tolist()
    started = time.monotonic()
    with LocalTwin() as twin:
        console.print("[bold]cdk bootstrap[/] and [bold]cdk deploy Realtime[/] onto the embedded cloud ...")
        twin.deploy(directory=PROJECT, stacks=["Realtime"], cdk_cli=True)
        url = twin.outputs("Realtime", local=True)["Endpoint"]
        for name, value in twin.outputs("Realtime").items():
            console.print(f"  Realtime.{name} = {value}", soft_wrap=True)
        console.print(f"  served here: {url}\n")

        os.environ.update(twin.credentials.environment())  # the endpoint wants signed requests, as on AWS
        model = Model(EndpointClient(url), "digits")
        metadata = model.metadata()
        for kind, tensors in (("input", metadata.inputs), ("output", metadata.outputs)):
            for tensor in tensors:
                console.print(f"  {kind} {tensor.name}: {tensor.datatype} {list(tensor.shape)}")
        console.print()

        predicted = []
        for image in images:
            answer = model.infer({"image": image[np.newaxis]})
            predicted.append(int(answer.outputs[0].array.argmax()))
        show(images[::2], labels[::2], predicted[::2])  # one of each digit
        right = sum(map(int.__eq__, predicted, labels))
        console.print(f"{right} of {len(labels)} right.")
        console.print(timing(twin.invocations()), soft_wrap=True)

        console.print("[bold]cdk destroy[/] ...")
        twin.destroy()
        jobs_are_right = jobs_demo.run(twin, PROJECT, console)
    console.print(f"Done in {time.monotonic() - started:.0f} s; nothing is left behind.")
    return 0 if right == len(labels) and jobs_are_right else 1


if __name__ == "__main__":
    sys.exit(main())
