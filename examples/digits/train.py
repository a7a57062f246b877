"""Train the digits model and write model.onnx and goldens/ beside this file.

    pip install -r requirements.txt
    python train.py                     # overwrites the committed files
    python train.py --output /elsewhere

Everything that decides the result is fixed: the split, the seeds, one thread, deterministic kernels.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import onnx
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

HERE = Path(__file__).resolve().parent
SEED = 0
TEST_IMAGES = 450
GOLDENS_PER_DIGIT = 2
EPOCHS = 60
BATCH_SIZE = 64
OPSET = 18
IR_VERSION = 10
# Another CPU or another onnxruntime may sum in another order; a wrong model is off by far more than this.
ABSOLUTE_TOLERANCE = 1e-3
RELATIVE_TOLERANCE = 1e-3


def build() -> nn.Sequential:
    """Make the untrained network: image [batch, 1, 8, 8] in 0..1 -> logits [batch, 10]."""
    return nn.Sequential(
        nn.Conv2d(1, 16, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 32, kernel_size=3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(32 * 4 * 4, 10),
    )


def make_deterministic() -> None:
    """Fix the seeds, and run on one thread with deterministic kernels."""
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def split() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels (uint8 [n, 8, 8], 0..16) and labels for training, then both for testing."""
    digits = load_digits()
    train_pixels, test_pixels, train_labels, test_labels = train_test_split(
        digits.images.astype(np.uint8),
        digits.target.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=digits.target,
        random_state=SEED,
    )
    return train_pixels, train_labels, test_pixels, test_labels


def scale(pixels: np.ndarray) -> np.ndarray:
    """Turn counts of 0..16 into what the model takes: FP32 [n, 1, 8, 8] in 0..1."""
    return (pixels.astype(np.float32) / np.float32(16.0)).reshape(-1, 1, 8, 8)


def shift(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Move the whole batch by at most one pixel each way, filling with background."""
    down, right = (int(n) for n in torch.randint(0, 3, (2,), generator=generator))
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    return padded[:, :, down : down + 8, right : right + 8]


def train(pixels: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    """Fit the network; the number of epochs is fixed, nothing is chosen by the test images."""
    generator = torch.Generator().manual_seed(SEED)
    images, targets = torch.from_numpy(scale(pixels)), torch.from_numpy(labels)
    network = build()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(images) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=steps)
    network.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(images), generator=generator).split(BATCH_SIZE):
            logits = network(shift(images[batch], generator))
            loss = nn.functional.cross_entropy(logits, targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    return network


def export(network: nn.Sequential, path: Path) -> None:
    """Write one self-contained ONNX file that says nothing about the machine that made it."""
    program = torch.onnx.export(
        network,
        (torch.zeros(2, 1, 8, 8),),
        dynamo=True,
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        opset_version=OPSET,
        verbose=False,
    )
    assert program is not None
    model = program.model_proto
    strip(model)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def strip(model: onnx.ModelProto) -> None:
    """Remove stack traces and other notes of the exporter: they hold paths of this machine."""
    model.ir_version = IR_VERSION
    graph = model.graph
    graph.name = "digits"
    notes = [model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info]
    for part in notes:
        part.ClearField("doc_string")
        part.ClearField("metadata_props")


def main() -> None:
    """Train, export, and write the goldens."""
    parser = argparse.ArgumentParser(description="Train the digits model.")
    parser.add_argument("--output", type=Path, default=HERE, help="directory to write to (default: this one)")
    output: Path = parser.parse_args().output
    goldens = output / "goldens"
    goldens.mkdir(parents=True, exist_ok=True)

    make_deterministic()
    train_pixels, train_labels, test_pixels, test_labels = split()
    network = train(train_pixels, train_labels)
    export(network, output / "model.onnx")

    with torch.inference_mode():
        logits = network(torch.from_numpy(scale(test_pixels))).numpy()
    correct = int((logits.argmax(axis=1) == test_labels).sum())
    golden = np.concatenate([np.flatnonzero(test_labels == digit)[:GOLDENS_PER_DIGIT] for digit in range(10)])
    np.savez_compressed(goldens / "heldout.npz", pixels=test_pixels, labels=test_labels.astype(np.uint8))
    np.save(goldens / "images.npy", scale(test_pixels[golden]))
    np.save(goldens / "labels.npy", test_labels[golden])
    np.save(goldens / "logits.npy", logits[golden])
    facts = {
        "heldout": {"images": len(test_labels), "correct": correct},
        "tolerance": {"absolute": ABSOLUTE_TOLERANCE, "relative": RELATIVE_TOLERANCE},
    }
    (goldens / "goldens.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{correct} of {len(test_labels)} held-out images correct ({correct / len(test_labels):.2%})")


if __name__ == "__main__":
    main()
