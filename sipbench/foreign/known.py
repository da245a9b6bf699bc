"""Architectures that spandrel recognises by their weights, and spandrel_extra_arches where it is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.errors import UserError
from sipbench.foreign.network import Foreign


class Restorer(nn.Module):
    """A network called as spandrel calls it, for any number of images; some are told the noise as one more channel."""

    def __init__(self, descriptor: Any, level: float) -> None:
        super().__init__()
        self.net, self.level = descriptor.model, level / 255
        self._call = descriptor._call_fn
        self.told = descriptor.architecture.id == "DRUNet" or "FDnCNN" in descriptor.tags

    def forward(self, v: Tensor) -> Tensor:
        if not self.told:
            return self._call(self.net, v)
        return self.net(torch.cat([v, torch.full_like(v[:, :1], self.level)], dim=1))


def restorer(path: Path, content: dict[str, Any], level: float) -> Foreign:
    """The network of these weights. The tensors are read before: spandrel opens no file, and unpickles nothing."""
    try:
        from spandrel import ImageModelDescriptor, ModelLoader, UnsupportedModelError
    except ImportError as error:
        raise UserError(f"{path} needs the package spandrel: pip install 'sipbench[restorers]'") from error
    _extra()
    try:
        found = ModelLoader().load_from_state_dict(content)
    except UnsupportedModelError as error:
        raise UserError(
            f"{path} is of no architecture that spandrel knows; some are in spandrel_extra_arches. Name it, as in "
            "+method.networks.net.architecture=package.module.Class, or save it as TorchScript: docs/external.md"
        ) from error
    except (RuntimeError, KeyError, ValueError, AssertionError) as error:
        raise UserError(f"{path} does not fit the architecture: {' '.join(str(error).split())[:300]}") from error
    if not isinstance(found, ImageModelDescriptor):
        raise UserError(f"{path} is a network that takes a mask beside the image: it cannot be used here")
    net, sizes = Foreign(Restorer(found, level).float()), found.size_requirements
    net.multiple, net.minimum, net.square = sizes.multiple_of, sizes.minimum, sizes.square
    net.scale, net.channels = found.scale, found.input_channels
    return net


def _extra() -> None:
    """Architectures with licences of their own, such as MPRNet's, are a package of their own."""
    try:
        import spandrel_extra_arches  # pyright: ignore
    except ImportError:
        return
    spandrel_extra_arches.install(ignore_duplicates=True)
