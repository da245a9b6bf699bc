"""From a file to a network: weights alone through spandrel or a named architecture, ONNX, and code that is trusted.

What is code and what is data: docs/external.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import nn

from sipbench import checkpoints, configs
from sipbench.errors import UserError
from sipbench.foreign import trust
from sipbench.foreign.network import Foreign, Script, own_statistics


def network(
    path: str | Path,
    *,
    trusted: bool = False,
    architecture: str | None = None,
    arguments: Mapping[str, Any] | None = None,
    mode: Literal["eval", "train"] = "eval",
    alone: bool = False,
    output: int = 0,
    level: float = 15.0,
) -> Foreign:
    """The network of a file.

    Args:
        trusted: whether a file that is code may be loaded.
        architecture: the class that a file of weights alone is of, package.module.Class; None asks spandrel.
        arguments: what it is made with.
        mode: train normalises by each image's own statistics, as deblurring networks were meant to; dropout stays off.
        alone: one image at a time, for networks that were saved for a batch of one.
        output: which output is the image, where there are several.
        level: the noise, out of 255, that a denoiser which asks for it is told.
    """
    path = Path(path)
    kind = trust.kind_of(path)
    if mode == "train" and kind in ("ONNX", "torch.export"):
        raise UserError(
            f"{path} is {kind}, whose mode was settled when it was saved: save it in train mode, say mode=eval"
        )
    alone = alone or mode == "train"
    if kind == "ONNX":
        from sipbench.foreign.onnx import Onnx

        onnx = Onnx(path)
        found = Foreign(onnx, alone=alone or onnx.batch == 1, output=output)
        found.channels = onnx.channels
        return found
    if kind in trust.CODE:
        net = trust.code(path, trusted=trusted)
        return Foreign(
            Script(_set(net, mode)) if kind == "TorchScript" else net, alone=alone, output=output, keeps=False
        )
    content = checkpoints.load_state(path) if kind == "safetensors" else trust.pickled(path, trusted=trusted)
    if isinstance(content, nn.Module):
        return Foreign(_set(content.float(), mode), alone=alone, output=output, keeps=mode == "eval")
    if not isinstance(content, Mapping):
        raise UserError(f"{path} holds {type(content).__name__}, not weights and not a network")
    if not all(isinstance(name, str) for name in content):
        raise UserError(f"{path} holds no weights by name, and no network")
    if architecture is None:
        from sipbench.foreign.known import restorer

        found = restorer(path, dict(content), level)
    else:
        found = Foreign(_filled(path, configs.locate(architecture), arguments or {}, content))
    _set(found.inner, mode)
    found.alone, found.output, found.keeps = alone, output, mode == "eval"
    return found


def _set(net: nn.Module, mode: str) -> nn.Module:
    if mode == "train":
        own_statistics(net)
        return net
    return net.eval()


def _filled(path: Path, kind: Any, arguments: Mapping[str, Any], content: Mapping[str, Any]) -> nn.Module:
    """The architecture with these weights, strictly: a missing, an unexpected or a misshapen one is an error."""
    from sipbench.foreign.weights import bare

    try:
        net = kind(**arguments)
        if not isinstance(net, nn.Module):
            raise ValueError(f"it makes {type(net).__name__}, not a network")
        net.load_state_dict(bare(content), strict=True)
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"{path} does not fit {kind.__name__}: {' '.join(str(error).split())[:300]}") from error
    return net.float()
