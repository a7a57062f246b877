"""From PyTorch: a small transformer encoder becomes model.onnx, with its weights beside it, and samples.npz.

pip install -r requirements.txt
python pytorch_encoder.py encoder
onnx-inference prepare encoder/model.onnx --goldens encoder/samples.npz -o encoder-package
"""

import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn


class Encoder(nn.Module):
    """Token indices in, one score per class out."""

    def __init__(self, vocabulary: int = 1000, width: int = 128, classes: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        layer = nn.TransformerEncoderLayer(width, nhead=4, dim_feedforward=4 * width, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, num_layers=2, enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Scores [batch, classes] for tokens [batch, sequence]."""
        return self.head(self.encoder(self.embedding(tokens)).mean(dim=1))


def main(folder: Path) -> None:
    """Make, export, and save inputs with the outputs that PyTorch gives for them."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    # Evaluation mode: a model that is exported in training mode keeps its dropout.
    encoder = Encoder().eval()
    tokens = torch.randint(0, 1000, (16, 24))

    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", min=2, max=512)
    torch.onnx.export(
        encoder,
        (tokens[:2],),
        folder / "model.onnx",
        input_names=["tokens"],
        output_names=["scores"],
        dynamic_shapes=({0: batch, 1: sequence},),
        opset_version=20,
        dynamo=True,
        external_data=True,
        verbose=False,
    )

    with torch.inference_mode():
        np.savez(folder / "samples.npz", tokens=tokens.numpy(), scores=encoder(tokens).numpy())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
