"""From LightGBM: boosted trees become model.onnx and samples.npz.

pip install -r requirements.txt
python lightgbm_trees.py diabetes
onnx-inference prepare diabetes/model.onnx --goldens diabetes/samples.npz -o diabetes-package
"""

import sys
from pathlib import Path

import numpy as np
from lightgbm import LGBMRegressor
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes


def main(folder: Path) -> None:
    """Train, export, and save inputs with the outputs that LightGBM gives for them."""
    folder.mkdir(parents=True, exist_ok=True)
    data = load_diabetes()
    features = data.data.astype(np.float32)
    trees = LGBMRegressor(n_estimators=50, random_state=0, verbose=-1).fit(features, data.target)

    inputs = [("features", FloatTensorType([None, features.shape[1]]))]
    model = convert_lightgbm(trees, initial_types=inputs, target_opset=15)
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    np.savez(folder / "samples.npz", features=features, variable=trees.predict(features).astype(np.float32)[:, None])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
