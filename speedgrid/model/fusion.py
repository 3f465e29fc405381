"""Finding what can be computed in one: convolution, batch norm, sum and activation, by pattern in a model's graph.

A graph of torch.fx has in-place operators, which change what others read. So a convolution is moved to the sum after it
only where no operator between the two works in place.
"""

import operator
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import fx, nn
from torch.nn import functional

from speedgrid.launcher.outputs import one_line
from speedgrid.model.convolution import Convolution, symmetric_padding

ACTIVATION_MODULES = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Hardswish: "hardswish", nn.SiLU: "silu"}
ACTIVATION_FUNCTIONS = {
    torch.relu: "relu",
    torch.relu_: "relu",
    functional.relu: "relu",
    functional.relu6: "relu6",
    functional.hardswish: "hardswish",
    functional.silu: "silu",
}
ACTIVATION_METHODS = {"relu": "relu", "relu_": "relu"}
SUMS = {operator.add, operator.iadd, torch.add, "add", "add_"}
# What returns its input in eval mode.
IDLE = (nn.Identity, nn.Dropout, nn.Dropout2d)
IDLE_FUNCTION = "stochastic_depth"
# Where functions come from that say by their name, or by a True among their arguments, that they work in place.
KNOWN_ORIGINS = ("torch", "_operator", "math", "builtins")
IN_PLACE = re.compile(r"_$|^(__)?(i(add|sub|mul|\w*div|mod|pow|and|x?or|[lr]shift|matmul|concat)|(set|del)item)(__)?$")


@dataclass(frozen=True)
class Fused:
    """A model whose convolutions have taken in what follows them.

    convolutions: all that can be given a kernel. others: how many cannot, by the reason.
    """

    module: nn.Module
    convolutions: list[Convolution] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)

    def account(self) -> dict[str, int | dict[str, int]]:
        """Return how many convolutions a fused kernel executed, of how many, and why others not, as JSON values."""
        plain = self.others + Counter(one.plainly for one in self.convolutions if one.plainly)
        fused = sum(not one.plainly for one in self.convolutions)
        return {"executed": fused, "of": fused + plain.total(), "others": dict(plain)}


def fuse(module: nn.Module) -> Fused:
    """Return a model in eval mode with its convolutions fused, which shares what did not change with `module`.

    The result computes the same, by definition, until its convolutions are given kernels. What is folded has weights in
    float64: the result is to be converted to one type. A model that torch.fx
    cannot trace, because its code asks for values or shapes, is returned as it is.
    """
    tracer = Tracer()
    try:
        traced = fx.GraphModule(module, tracer.trace(module))
    except Exception as error:  # tracing runs a user's code on what is no tensor: it raises anything
        many = sum(isinstance(one, nn.Conv2d) for one in module.modules())
        return Fused(module, others=Counter({f"torch.fx cannot trace the model: {one_line(error)}": many}))
    remove_idle(traced)
    own, others = own_convolutions(traced)
    fuse_sums(traced, own)
    fuse_activations(traced, own)
    traced.delete_all_unused_submodules()
    traced.graph.lint()
    traced.recompile()
    return Fused(traced, list(own.values()), others)


class Proxy(fx.Proxy):
    """Stands for a tensor while a model is traced; unlike torch's own it keeps `x += y` in place."""


def written_over(name: str):
    """Return a method of Proxy that records the in-place operator of a name in the module operator."""
    return lambda self, other: self.tracer.create_proxy("call_function", getattr(operator, name), (self, other), {})


for _name in ("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior", "ixor"):
    setattr(Proxy, f"__{_name}__", written_over(_name))


class Tracer(fx.Tracer):
    """Traces a model with what is in place kept so."""

    def proxy(self, node: fx.Node) -> Proxy:
        """Return the proxy of a node's tensor."""
        return Proxy(node, self)


def called(traced: fx.GraphModule, node: fx.Node) -> nn.Module | None:
    """Return the module that a node calls, or None where it calls none."""
    return traced.get_submodule(str(node.target)) if node.op == "call_module" else None


def remove_idle(traced: fx.GraphModule) -> None:
    """Remove what returns its input in eval mode: it would stand between a convolution and a sum."""
    for node in list(traced.graph.nodes):
        training = getattr(called(traced, node), "training", False)
        idle = isinstance(called(traced, node), IDLE) and not training and not hooked(called(traced, node))
        if node.op == "call_function" and getattr(node.target, "__name__", "") == IDLE_FUNCTION:
            idle = (*node.args, *node.kwargs.values())[-1] is False  # training
        if idle:
            node.replace_all_uses_with(first_input(node))
            traced.graph.erase_node(node)


def own_convolutions(traced: fx.GraphModule) -> tuple[dict[fx.Node, Convolution], Counter[str]]:
    """Give each call of a convolution a Convolution of its own, with the batch norm after it folded.

    Returns them by their node, and how many convolutions stay as they are, by the reason.
    """
    own: dict[fx.Node, Convolution] = {}
    others: Counter[str] = Counter()
    for node in list(traced.graph.nodes):
        if node.op == "call_function" and node.target in (torch.conv2d, functional.conv2d):
            others["it is called as a function"] += 1
        layer = called(traced, node)
        if not isinstance(layer, nn.Conv2d):
            continue
        if reason := odd(layer):
            others[reason] += 1
            continue
        own[node] = convolution = Convolution(layer)
        node.args, node.kwargs = (first_input(node),), {}
        if (user := only_user(node)) and foldable(norm := called(traced, user)):
            convolution.fold(norm)
            user.replace_all_uses_with(node)
            traced.graph.erase_node(user)
        # No name of a user's module begins so.
        node.target = f"__convolution_{len(own)}"
        traced.add_submodule(node.target, convolution)
    return own, others


def odd(layer: nn.Conv2d) -> str:
    """Return why a convolution is not one that kernels compute, or "" if it is."""
    if type(layer) is not nn.Conv2d or hooked(layer):
        return "its module does more than to convolve"
    if layer.padding_mode != "zeros":
        return f"it pads with {layer.padding_mode}"
    return "it pads one side more than the other" if symmetric_padding(layer) is None else ""


def hooked(layer: nn.Module) -> bool:
    """Say whether a module does more when it is called than its type says."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks)


def foldable(layer: nn.Module | None) -> bool:
    """Say whether a module is a batch norm that scales and shifts each channel by constants."""
    if not isinstance(layer, nn.BatchNorm2d) or type(layer) is not nn.BatchNorm2d or hooked(layer):
        return False
    return not layer.training and layer.running_mean is not None


def fuse_sums(traced: fx.GraphModule, own: dict[fx.Node, Convolution]) -> None:
    """Let convolutions add what their results are added to; a bias of it goes along.

    Of two whose results are added, the one with more arithmetic for each of its numbers does, so that the other's are
    read while it computes.
    """
    for total in list(traced.graph.nodes):
        if total.op not in ("call_function", "call_method") or total.target not in SUMS:
            continue
        if len(total.args) != 2 or total.kwargs or changes_another(total, own):
            continue
        for node, added in summands(total, own):
            if only_user(node) is total and not any(works_in_place(traced, one) for one in between(node, total)):
                other = own.get(added) if only_user(added) is total else None
                if other and other.weight.shape[0] == own[node].weight.shape[0]:
                    own[node].take_bias(other)
                take_place(traced, own, node, total, (node.args[0], added))
                break


def fuse_activations(traced: fx.GraphModule, own: dict[fx.Node, Convolution]) -> None:
    """Let convolutions apply the activations after them."""
    for node in list(own):
        user = only_user(node)
        if user is not None and (name := activation(traced, user)) and first_input(user) is node:
            own[node].activation = name
            take_place(traced, own, node, user, node.args)


def take_place(traced: fx.GraphModule, own: dict[fx.Node, Convolution], node, last, given) -> None:
    """Put the call of a convolution in the place of what follows it, with what it is given there."""
    with traced.graph.inserting_before(last):
        new = traced.graph.call_module(node.target, tuple(given))
    last.replace_all_uses_with(new)
    traced.graph.erase_node(last)
    traced.graph.erase_node(node)
    own[new] = own.pop(node)


def summands(total: fx.Node, own: dict[fx.Node, Convolution]) -> list[tuple[fx.Node, fx.Node]]:
    """Return (convolution, what is added to it), those first that compute most for each number and come last."""
    places = {node: place for place, node in enumerate(total.graph.nodes)}
    pairs = [(one, other) for one, other in (total.args, total.args[::-1]) if one in own and isinstance(other, fx.Node)]
    pairs = [(one, other) for one, other in pairs if one is not other]
    return sorted(pairs, key=lambda pair: (own[pair[0]].weight[0].numel(), places[pair[0]]), reverse=True)


def activation(traced: fx.GraphModule, node: fx.Node) -> str | None:
    """Return the name of the activation that a node applies, or None if it applies none that is known."""
    if node.op == "call_function":
        return ACTIVATION_FUNCTIONS.get(node.target)
    if node.op == "call_method":
        return ACTIVATION_METHODS.get(str(node.target))
    layer = called(traced, node)
    return None if layer is None or hooked(layer) else ACTIVATION_MODULES.get(type(layer))


def only_user(node: fx.Node) -> fx.Node | None:
    """Return the node that alone reads another, or None where none or several do."""
    return next(iter(node.users)) if len(node.users) == 1 else None


def first_input(node: fx.Node):
    """Return the first input of a node, by place or by name."""
    return next(iter((*node.args, *node.kwargs.values())), None)


def between(first: fx.Node, last: fx.Node) -> Iterator[fx.Node]:
    """Yield the nodes after one and before another."""
    node = first.next
    while node is not last:
        yield node
        node = node.next


def changes_another(total: fx.Node, own: dict[fx.Node, Convolution]) -> bool:
    """Say whether a sum is written over what others may read: over all but a convolution's result that it alone reads.

    total: a node with two summands.
    """
    first = total.args[0]
    return total.target in (operator.iadd, "add_") and not (first in own and only_user(first) is total)


def works_in_place(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Say whether a node may change what it is given; of unknown functions that is not known."""
    if node.op == "call_module":
        return bool(getattr(called(traced, node), "inplace", False))
    if node.op not in ("call_function", "call_method"):
        return False
    name = str(node.target) if node.op == "call_method" else getattr(node.target, "__name__", "_")
    origin = "torch" if node.op == "call_method" else (getattr(node.target, "__module__", None) or "torch")
    asked = any(one is True for one in node.args) or node.kwargs.get("inplace", False) or "out" in node.kwargs
    return bool(asked) or origin.split(".")[0] not in KNOWN_ORIGINS or IN_PLACE.search(name) is not None
