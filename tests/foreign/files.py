"""One small network in every format that people hand on."""

import warnings

import numpy as np
import onnx
import safetensors.torch
import torch
from onnx import helper, numpy_helper
from torch import nn

from sipbench.foreign import trust

OLD = trust.torch_version() < trust.SAFE_SINCE  # a pickle of weights counts as code there


class Small(nn.Module):
    """Two convolutions, which a pickle finds here."""

    def __init__(self, channels=3, width=4):
        super().__init__()
        self.first = nn.Conv2d(channels, width, 3, padding=1)
        self.last = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, v):
        return v + self.last(torch.relu(self.first(v)))


def small(channels=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Small(channels).eval().requires_grad_(False)


def images(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(1))


def script(net, path, traced=None):
    """TorchScript, of a trace where there is an image for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.script(net) if traced is None else torch.jit.trace(net, traced, check_trace=False)
        made.save(path)
    return path


def exported(net, path, v):
    program = torch.export.export(net, (v,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    torch.export.save(program, path)
    return path


def onnx_file(net, path, batch="batch", channels=3, extra=False):
    """The same network written down as ONNX."""
    constants = {n.replace(".", "_"): p.detach().numpy() for n, p in net.named_parameters()}
    same = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3]}
    nodes = [
        helper.make_node("Conv", ["v", "first_weight", "first_bias"], ["a"], **same),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "last_weight", "last_bias"], ["c"], **same),
        helper.make_node("Add", ["v", "c"], ["x"]),
    ]

    def info(name):
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [batch, channels, "h", "w"])

    inputs = [info("v"), *([info("noise")] if extra else [])]
    graph = helper.make_graph(
        nodes,
        "small",
        inputs,
        [info("x")],
        [numpy_helper.from_array(np.ascontiguousarray(a), n) for n, a in constants.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def weights(net, path):
    safetensors.torch.save_file(net.state_dict(), path)
    return path
