"""From XGBoost: boosted trees become model.onnx and samples.npz.

pip install -r requirements.txt
python xgboost_trees.py cancer
onnx-inference prepare cancer/model.onnx --goldens cancer/samples.npz -o cancer-package
"""

import sys
from pathlib import Path

import numpy as np
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.datasets import load_breast_cancer
from xgboost import XGBClassifier


def main(folder: Path) -> None:
    """Train, export, and save inputs with the outputs that XGBoost gives for them."""
    folder.mkdir(parents=True, exist_ok=True)
    data = load_breast_cancer()
    features = data.data.astype(np.float32)
    trees = XGBClassifier(n_estimators=50, max_depth=4, random_state=0).fit(features, data.target)

    inputs = [("features", FloatTensorType([None, features.shape[1]]))]
    model = convert_xgboost(trees, initial_types=inputs, target_opset=15)
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    np.savez(
        folder / "samples.npz",
        features=features,
        label=trees.predict(features).astype(np.int64),
        probabilities=trees.predict_proba(features).astype(np.float32),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
