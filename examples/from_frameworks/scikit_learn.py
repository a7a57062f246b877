"""From scikit-learn: a pipeline that scales and classifies becomes model.onnx and samples.npz.

pip install -r requirements.txt
python scikit_learn.py iris
onnx-inference prepare iris/model.onnx --goldens iris/samples.npz -o iris-package
"""

import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def main(folder: Path) -> None:
    """Train, export, and save inputs with the outputs that scikit-learn gives for them."""
    folder.mkdir(parents=True, exist_ok=True)
    data = load_iris()
    features = data.data.astype(np.float32)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200)).fit(features, data.target)

    # zipmap=False: probabilities as one tensor, not as a sequence of maps, which the protocol cannot carry.
    model = to_onnx(pipeline, features[:1], options={"zipmap": False}, target_opset={"": 21, "ai.onnx.ml": 3})
    (folder / "model.onnx").write_bytes(model.SerializeToString())

    np.savez(
        folder / "samples.npz",
        X=features,
        label=pipeline.predict(features),
        probabilities=pipeline.predict_proba(features).astype(np.float32),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
