"""Models of many kinds, made by the tests, which `prepare` has to accept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper
from onnx.numpy_helper import from_array

IR_VERSION = 10
OPSET = 21

Made = Callable[[], ModelProto]


def model(
    nodes: Sequence[NodeProto],
    inputs: Sequence[ValueInfoProto],
    outputs: Sequence[ValueInfoProto],
    initializers: Sequence[TensorProto] = (),
    *,
    domains: Mapping[str, int] | None = None,
) -> ModelProto:
    graph = helper.make_graph(list(nodes), "graph", list(inputs), list(outputs), list(initializers))
    opsets = {"": OPSET, **(domains or {})}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)


def floats(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))


def random(*shape: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(np.float32)


def weight(name: str, *shape: int, seed: int = 0) -> TensorProto:
    return from_array(random(*shape, scale=1 / np.sqrt(shape[0]), seed=seed), name)


def mlp(layers: int = 3, width: int = 512) -> ModelProto:
    """3 MB of weights in MatMul, Add, Relu; ten scores come out."""
    nodes, initializers, last = [], [], "x"
    for number in range(layers):
        initializers += [weight(f"w{number}", width, width, seed=number), weight(f"b{number}", width, seed=number)]
        nodes += [
            helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]),
            helper.make_node("Add", [f"m{number}", f"b{number}"], [f"a{number}"]),
            helper.make_node("Relu", [f"a{number}"], [f"r{number}"]),
        ]
        last = f"r{number}"
    initializers.append(weight("head", width, 10, seed=99))
    nodes.append(helper.make_node("MatMul", [last, "head"], ["scores"]))
    return model(nodes, [floats("x", "batch", width)], [floats("scores", "batch", 10)], initializers)


def cnn(channels: int = 32, size: int = 32) -> ModelProto:
    """Conv, BatchNormalization, Relu, twice; pooled and classified."""
    nodes, initializers, last, depth = [], [], "image", 3
    for number in range(2):
        kernel = random(channels, depth, 3, 3, scale=1 / np.sqrt(9 * depth), seed=number)
        initializers.append(from_array(kernel, f"w{number}"))
        for name, value in (("scale", 1.5), ("bias", 0.1), ("mean", 0.05), ("variance", 0.9)):
            initializers.append(from_array(np.full(channels, value, np.float32), f"{name}{number}"))
        normalized = [f"c{number}", *(f"{name}{number}" for name in ("scale", "bias", "mean", "variance"))]
        nodes += [
            helper.make_node("Conv", [last, f"w{number}"], [f"c{number}"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
            helper.make_node("BatchNormalization", normalized, [f"n{number}"]),
            helper.make_node("Relu", [f"n{number}"], [f"r{number}"]),
        ]
        last, depth = f"r{number}", channels
    initializers.append(weight("head", channels, 10))
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("MatMul", ["flat", "head"], ["scores"]),
    ]
    return model(nodes, [floats("image", "batch", 3, size, size)], [floats("scores", "batch", 10)], initializers)


def transformer(width: int = 64, heads: int = 4, vocabulary: int = 500) -> ModelProto:
    """An encoder block: embedding, attention with a mask, GELU in its spelled-out form; indices come in."""
    initializers = [weight("embedding", vocabulary, width)]
    for number, name in enumerate(("wq", "wk", "wv", "wo")):
        initializers.append(weight(name, width, width, seed=number + 1))
    initializers += [weight("up", width, 4 * width, seed=6), weight("down", 4 * width, width, seed=7)]
    initializers += [weight("head", width, 5, seed=8)]
    for name in ("norm1", "norm2"):
        initializers += [
            from_array(np.ones(width, np.float32), f"{name}.scale"),
            from_array(np.zeros(width, np.float32), f"{name}.bias"),
        ]
    constants: dict[str, np.ndarray] = {
        "split": np.array([0, 0, heads, width // heads], np.int64),
        "join": np.array([0, 0, width], np.int64),
        "root": np.array(np.sqrt(width / heads), np.float32),
        "far": np.array(-10000.0, np.float32),
        "one": np.array(1.0, np.float32),
        "half": np.array(0.5, np.float32),
        "sqrt2": np.array(np.sqrt(2), np.float32),
        "mask_axes": np.array([1, 2], np.int64),
    }
    initializers += [from_array(value, name) for name, value in constants.items()]
    nodes = [helper.make_node("Gather", ["embedding", "input_ids"], ["x"])]
    for name, order in (("q", [0, 2, 1, 3]), ("k", [0, 2, 3, 1]), ("v", [0, 2, 1, 3])):
        nodes += [
            helper.make_node("MatMul", ["x", f"w{name}"], [f"{name}1"]),
            helper.make_node("Reshape", [f"{name}1", "split"], [f"{name}2"]),
            helper.make_node("Transpose", [f"{name}2"], [name], perm=order),
        ]
    nodes += [
        helper.make_node("MatMul", ["q", "k"], ["s1"]),
        helper.make_node("Div", ["s1", "root"], ["s2"]),
        helper.make_node("Cast", ["attention_mask"], ["m1"], to=TensorProto.FLOAT),
        helper.make_node("Sub", ["one", "m1"], ["m2"]),
        helper.make_node("Mul", ["m2", "far"], ["m3"]),
        helper.make_node("Unsqueeze", ["m3", "mask_axes"], ["m4"]),
        helper.make_node("Add", ["s2", "m4"], ["s3"]),
        helper.make_node("Softmax", ["s3"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "v"], ["c1"]),
        helper.make_node("Transpose", ["c1"], ["c2"], perm=[0, 2, 1, 3]),
        helper.make_node("Reshape", ["c2", "join"], ["c3"]),
        helper.make_node("MatMul", ["c3", "wo"], ["c4"]),
        helper.make_node("Add", ["x", "c4"], ["r1"]),
        helper.make_node("LayerNormalization", ["r1", "norm1.scale", "norm1.bias"], ["n1"], axis=-1),
        helper.make_node("MatMul", ["n1", "up"], ["u"]),
        helper.make_node("Div", ["u", "sqrt2"], ["g1"]),
        helper.make_node("Erf", ["g1"], ["g2"]),
        helper.make_node("Add", ["g2", "one"], ["g3"]),
        helper.make_node("Mul", ["u", "g3"], ["g4"]),
        helper.make_node("Mul", ["g4", "half"], ["g5"]),
        helper.make_node("MatMul", ["g5", "down"], ["d"]),
        helper.make_node("Add", ["n1", "d"], ["r2"]),
        helper.make_node("LayerNormalization", ["r2", "norm2.scale", "norm2.bias"], ["n2"], axis=-1),
        helper.make_node("MatMul", ["n2", "head"], ["scores"]),
    ]
    indices = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    return model(nodes, indices, [floats("scores", "batch", "sequence", 5)], initializers)


def trees(count: int = 20) -> ModelProto:
    """Boosted stumps over four features, as XGBoost and LightGBM come out of their converters."""
    rng = np.random.default_rng(0)
    ids = [tree for tree in range(count) for _ in range(3)]
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        n_targets=1,
        nodes_treeids=ids,
        nodes_nodeids=[0, 1, 2] * count,
        nodes_featureids=[value for _ in range(count) for value in (int(rng.integers(4)), 0, 0)],
        nodes_values=[value for _ in range(count) for value in (float(rng.normal()), 0.0, 0.0)],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"] * count,
        nodes_truenodeids=[1, 0, 0] * count,
        nodes_falsenodeids=[2, 0, 0] * count,
        nodes_missing_value_tracks_true=[1, 0, 0] * count,
        target_treeids=[tree for tree in range(count) for _ in range(2)],
        target_nodeids=[1, 2] * count,
        target_ids=[0, 0] * count,
        target_weights=[float(value) for value in rng.normal(size=2 * count)],
    )
    return model([node], [floats("x", "batch", 4)], [floats("y", "batch", 1)], domains={"ai.onnx.ml": 3})


def strings() -> ModelProto:
    """Words in; a number and the word in lower case out."""
    nodes = [
        helper.make_node("StringNormalizer", ["word"], ["lower"], case_change_action="LOWER", locale="C"),
        helper.make_node(
            "LabelEncoder",
            ["lower"],
            ["number"],
            domain="ai.onnx.ml",
            keys_strings=["red", "green", "blue"],
            values_int64s=[1, 2, 3],
            default_int64=-1,
        ),
    ]
    return model(
        nodes,
        [helper.make_tensor_value_info("word", TensorProto.STRING, ["n"])],
        [
            helper.make_tensor_value_info("number", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("lower", TensorProto.STRING, ["n"]),
        ],
        domains={"ai.onnx.ml": 2},
    )


def control_flow(width: int = 512) -> ModelProto:
    """If inside Loop, each with weights of its own: 1 MB in either branch."""

    def branch(name: str, seed: int) -> onnx.GraphProto:
        return helper.make_graph(
            [helper.make_node("MatMul", ["state", f"{name}.w"], [f"{name}.out"])],
            name,
            [],
            [floats(f"{name}.out", "batch", width)],
            [weight(f"{name}.w", width, width, seed=seed)],
        )

    body = helper.make_graph(
        [
            helper.make_node("Mod", ["step", "two"], ["odd"]),
            helper.make_node("Cast", ["odd"], ["is_odd"], to=TensorProto.BOOL),
            helper.make_node("If", ["is_odd"], ["next"], then_branch=branch("then", 1), else_branch=branch("else", 2)),
            helper.make_node("Identity", ["going"], ["still_going"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            floats("state", "batch", width),
        ],
        [helper.make_tensor_value_info("still_going", TensorProto.BOOL, []), floats("next", "batch", width)],
        [from_array(np.array(2, np.int64), "two")],
    )
    steps, on = from_array(np.array(3, np.int64), "steps"), from_array(np.array(True), "on")
    loop = helper.make_node("Loop", ["steps", "on", "x"], ["y"], body=body)
    return model([loop], [floats("x", "batch", width)], [floats("y", "batch", width)], [steps, on])


def scan(width: int = 8) -> ModelProto:
    """A running sum by Scan, with a weight in the body."""
    body = helper.make_graph(
        [
            helper.make_node("Mul", ["item", "gain"], ["scaled"]),
            helper.make_node("Add", ["sum", "scaled"], ["sum_out"]),
            helper.make_node("Identity", ["sum_out"], ["seen"]),
        ],
        "body",
        [floats("sum", width), floats("item", width)],
        [floats("sum_out", width), floats("seen", width)],
        [weight("gain", width)],
    )
    node = helper.make_node("Scan", ["zero", "x"], ["total", "y"], body=body, num_scan_inputs=1)
    zero = from_array(np.zeros(width, np.float32), "zero")
    return model([node], [floats("x", "length", width)], [floats("y", "length", width)], [zero])


def no_initializers() -> ModelProto:
    return model([helper.make_node("Relu", ["x"], ["y"])], [floats("x", "n")], [floats("y", "n")])


def sparse() -> ModelProto:
    """A matrix of which three values are kept."""
    values = from_array(np.array([1, 2, 3], np.float32), "w")
    indices = from_array(np.array([0, 5, 10], np.int64), "w.indices")
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [floats("x", "n", 4)], [floats("y", "n", 4)])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 4]))
    return made


def shared(width: int = 600) -> ModelProto:
    """Two initialisers of the same values, 1.44 MB each, and a Constant with them once more."""
    same = random(width, width, scale=1 / np.sqrt(width))
    nodes = [
        helper.make_node("Constant", [], ["c"], value=from_array(same, "c")),
        helper.make_node("MatMul", ["x", "a"], ["xa"]),
        helper.make_node("MatMul", ["xa", "b"], ["xab"]),
        helper.make_node("MatMul", ["xab", "c"], ["y"]),
    ]
    initializers = [from_array(same, "a"), from_array(same, "b")]
    return model(nodes, [floats("x", "n", width)], [floats("y", "n", width)], initializers)


def bfloat16() -> ModelProto:
    """Doubles a BF16 tensor."""
    value = [helper.make_tensor_value_info(name, TensorProto.BFLOAT16, ["n"]) for name in ("x", "y")]
    nodes = [
        helper.make_node("Cast", ["x"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["wide", "wide"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=TensorProto.BFLOAT16),
    ]
    return model(nodes, value[:1], value[1:])


CORPUS: dict[str, Made] = {
    made.__name__: made
    for made in (
        mlp,
        cnn,
        transformer,
        trees,
        strings,
        control_flow,
        scan,
        no_initializers,
        sparse,
        shared,
        bfloat16,
    )
}


def save(made: ModelProto, path: Path, *, external: bool = False) -> Path:
    """Writes a model; `external` puts all its weights into a file beside it, unaligned, as exporters do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if external:
        copy = ModelProto.FromString(made.SerializeToString())
        onnx.save(copy, path, save_as_external_data=True, location=f"{path.name}.weights", size_threshold=0)
    else:
        onnx.save(made, path)
    return path


def save_large(path: Path, *, layers: int = 9, width: int = 8192) -> Path:
    """Writes an MLP of more than 2 GB, 268 MB a layer; layer by layer, so that it is never whole in memory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nodes, initializers, last = [], [], "x"
    rng = np.random.default_rng(0)
    with path.with_name("weights.bin").open("wb") as file:
        for number in range(layers):
            values = rng.standard_normal((width, width), dtype=np.float32) / np.float32(np.sqrt(width))
            tensor = TensorProto(
                name=f"w{number}",
                data_type=TensorProto.FLOAT,
                dims=[width, width],
                data_location=TensorProto.EXTERNAL,
            )
            file.write(b"\0" * 3)  # unaligned, as some exporters leave it
            for key, value in (("location", "weights.bin"), ("offset", file.tell()), ("length", values.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            file.write(values.data)
            initializers.append(tensor)
            nodes += [
                helper.make_node("MatMul", [last, f"w{number}"], [f"m{number}"]),
                helper.make_node("Relu", [f"m{number}"], [f"r{number}"]),
            ]
            last = f"r{number}"
    made = model(nodes, [floats("x", "n", width)], [floats(last, "n", width)], initializers)
    path.write_bytes(made.SerializeToString())
    return path
