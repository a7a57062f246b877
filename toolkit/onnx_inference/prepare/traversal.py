"""Walks a model: its graphs, nodes and tensors, also those in subgraphs, functions, attributes and sparse tensors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from onnx import AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto


@dataclass(frozen=True, slots=True)
class FoundTensor:
    """A tensor and whether onnxruntime can map it from a file.

    Attributes:
        tensor: The tensor itself, not a copy.
        mappable: True for initialisers and for the value of a Constant, which onnxruntime makes an initialiser.
            Kernels read other attributes from the graph, and sparse tensors are expanded at load.
    """

    tensor: TensorProto
    mappable: bool


def graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The graph and every subgraph of If, Loop, Scan and their like, outer ones first."""
    yield from _graphs(model.graph)
    for function in model.functions:
        for subgraph in _subgraphs(function.node):
            yield from _graphs(subgraph)


def nodes(model: ModelProto) -> Iterator[NodeProto]:
    """Every node, also those of subgraphs and functions."""
    for graph in graphs(model):
        yield from graph.node
    for function in model.functions:
        yield from function.node


def tensors(model: ModelProto) -> Iterator[FoundTensor]:
    """Every tensor that holds values."""
    for graph in graphs(model):
        for tensor in graph.initializer:
            yield FoundTensor(tensor, mappable=True)
        for sparse in graph.sparse_initializer:
            yield FoundTensor(sparse.values, mappable=False)
            yield FoundTensor(sparse.indices, mappable=False)
        yield from _of_attributes(graph, mappable=True)
    for function in model.functions:
        yield from _of_attributes(function, mappable=False)


def names_in_use(users: Iterable[NodeProto]) -> Iterator[str]:
    """Names that nodes read, in their order; also those that their subgraphs read, of whichever graph."""
    for node in users:
        yield from node.input
        for subgraph in _subgraphs([node]):
            yield from names_in_use(subgraph.node)


def is_external(tensor: TensorProto) -> bool:
    """Whether the tensor's values are in another file."""
    return tensor.data_location == TensorProto.EXTERNAL


def _graphs(graph: GraphProto) -> Iterator[GraphProto]:
    yield graph
    for subgraph in _subgraphs(graph.node):
        yield from _graphs(subgraph)


def _subgraphs(candidates: Iterable[NodeProto]) -> Iterator[GraphProto]:
    for node in candidates:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield attribute.g
            elif attribute.type == AttributeProto.GRAPHS:
                yield from attribute.graphs


def _of_attributes(owner: GraphProto | FunctionProto, *, mappable: bool) -> Iterator[FoundTensor]:
    for node in owner.node:
        constant = mappable and node.op_type == "Constant" and node.domain in ("", "ai.onnx")
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield FoundTensor(attribute.t, mappable=constant)
            elif attribute.type == AttributeProto.TENSORS:
                for tensor in attribute.tensors:
                    yield FoundTensor(tensor, mappable=False)
            elif attribute.type == AttributeProto.SPARSE_TENSOR:
                yield FoundTensor(attribute.sparse_tensor.values, mappable=False)
                yield FoundTensor(attribute.sparse_tensor.indices, mappable=False)
            elif attribute.type == AttributeProto.SPARSE_TENSORS:
                for sparse in attribute.sparse_tensors:
                    yield FoundTensor(sparse.values, mappable=False)
                    yield FoundTensor(sparse.indices, mappable=False)
