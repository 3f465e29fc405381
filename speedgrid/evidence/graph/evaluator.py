"""An ONNX graph, node by node in a type of one's own: onnx's reference evaluator with PyTorch's kernels."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from speedgrid.evidence.graph.elsewhere import by_onnxruntime, unknown
from speedgrid.evidence.graph.operators import OPERATORS
from speedgrid.evidence.graph.retyped import graphs_of, retyped

# Domains of onnx's own.
OWN = ("", "ai.onnx")


class Rounding(Protocol):
    """The changes that the values of a graph meet on their way."""

    def read(self, node: onnx.NodeProto, values: list[np.ndarray | None]) -> list[np.ndarray | None]:
        """Return the values that a node reads, in place of those that there are."""

    def written(self, node: onnx.NodeProto, values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """Return the values that others read, in place of those that a node has written."""


class Evaluator:
    """A model that computes in one floating-point type, whatever types its file has.

    `inputs`: names of what it must be given. `constants`: values by name that do not depend on it, weights among them.
    `elsewhere`: names of operators that ONNX Runtime must compute, in float32. Raises what onnx raises of a graph that
    it does not understand.
    """

    def __init__(self, model: onnx.ModelProto, dtype: type[np.floating]):
        self.dtype = dtype
        changed = retyped(model, dtype)
        for opset in changed.opset_import:  # "ai.onnx" is another name of ""
            opset.domain = "" if opset.domain in OWN else opset.domain
        others = [unknown(domain, name) for domain, name in unknown_operators(changed)]
        evaluator = ReferenceEvaluator(changed, new_ops=[*OPERATORS, *others])
        self.outputs: list[str] = list(evaluator.output_names)
        self.constants: dict[str, np.ndarray | None] = {"": None, **evaluator.rt_inits_}
        self.inputs = [name for name in evaluator.input_names if name not in self.constants]
        self.others = {(one.op_domain, one.__name__) for one in others}
        self.nodes: list[OpRun] = []
        for node in evaluator.rt_nodes_:
            if set(read_by(node)) <= self.constants.keys() and not node.op_type.startswith("Random"):
                self.constants |= dict(zip(node.output, self._run(node, self.constants), strict=False))
            else:
                self.nodes.append(node)
        last = {name: number for number, node in enumerate(self.nodes) for name in read_by(node)}
        kept = {*self.outputs, *self.constants}
        self._freed: list[list[str]] = [[] for _ in self.nodes]
        for name, number in last.items():
            if name not in kept:
                self._freed[number].append(name)

    @property
    def elsewhere(self) -> dict[str, int]:
        """How many nodes of each operator were computed in float32, of those that have run."""
        return dict(Counter(node.op_type for node in self.nodes if getattr(node, "rounded", False)))

    def run(self, given: Mapping[str, np.ndarray], rounding: Rounding | None = None) -> dict[str, np.ndarray]:
        """Return the outputs for inputs, both by name; floats become those of the evaluator's type."""
        values: dict[str, Any] = dict(self.constants)
        for name in self.inputs:
            one = np.asarray(given[name])
            values[name] = one.astype(self.dtype) if one.dtype.kind == "f" else one
        for node, freed in zip(self.nodes, self._freed, strict=True):
            made = self._run(node, values, rounding)
            values.update((name, one) for name, one in zip(node.output, made, strict=False) if name)
            for name in freed:
                del values[name]
        return {name: values[name] for name in self.outputs}

    def _run(self, node: OpRun, values: dict[str, Any], rounding: Rounding | None = None) -> tuple[np.ndarray, ...]:
        read = [values[name] for name in node.input]
        if rounding:
            read = rounding.read(node.onnx_node, read)
        context = {"context": values} if node.need_context() else {}
        try:
            made = node.run(*read, **context)
        except Exception:  # onnx's reference has not all modes of an operator, and says so in several ways
            if context:
                raise
            made = by_onnxruntime(node, *read)
        return rounding.written(node.onnx_node, made) if rounding else made


def read_by(node: OpRun) -> list[str]:
    """Return the names of all values that a node reads, those of its subgraphs among them."""
    found = list(node.input)
    for attribute in node.onnx_node.attribute:
        for graph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
            found += OpRun.implicit_inputs(graph)
    return found


def unknown_operators(model: onnx.ModelProto) -> set[tuple[str, str]]:
    """Return the operators of a model that onnx's reference does not have, with their domains.

    Those that it has as functions of others count among them: their bodies cast to float32 on the way.
    """
    own = {(function.domain, function.name) for function in model.functions}
    asked = {(node.domain, node.op_type) for graph in graphs_of(model) for node in graph.node}
    return {(domain, name) for domain, name in asked - own if domain not in OWN or not is_known(name)}


def is_known(name: str) -> bool:
    """Tell if an operator of onnx's own is computed here or by its reference, and not as a function of others."""
    from onnx.reference.ops import load_op

    if name in {one.__name__ for one in OPERATORS}:
        return True
    try:
        return isinstance(load_op("", name, evaluator_cls=ReferenceEvaluator), type)
    except (NotImplementedError, RuntimeError):
        return False
