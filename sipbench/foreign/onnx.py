"""ONNX, run by onnxruntime. A file of ONNX names operations and holds numbers: it is data."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sipbench.errors import UserError
from sipbench.foreign.trust import damaged

ELSEWHERE = b"\x0a\x08location\x12"
"""How a tensor names a second file that holds it, which onnxruntime would look for in the working folder."""


class Onnx(nn.Module):
    """The network of one .onnx file, which is all of it: weights kept in a second file are refused.

    Attributes:
        batch: how many images it was saved for, or None where any number will do.
        channels: how many it takes, or None where the file does not say.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._content, self._sessions, self._nowhere = path.read_bytes(), {}, str(path / "none")
        if ELSEWHERE in self._content:
            raise UserError(f"{path} keeps weights in a second file: save it as one file")
        try:
            session = self._session("cpu")
        except ImportError as error:
            raise UserError(f"{path} needs the package onnxruntime: pip install 'sipbench[restorers]'") from error
        except Exception as error:
            raise damaged(path, error) from error
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(float16)", "tensor(double)"):
            said = ", ".join(f"{i.name} {i.type}" for i in inputs)
            raise UserError(f"{path} takes {said}; one batch of images is what it can be given here")
        self._name, shape = inputs[0].name, inputs[0].shape
        kinds = {"tensor(float16)": torch.float16, "tensor(double)": torch.float64}
        self._dtype = kinds.get(inputs[0].type, torch.float32)
        if len(shape) != 4:
            raise UserError(f"{path} takes tensors of {len(shape)} dimensions; images are (B, C, H, W)")
        self.batch, self.channels = (n if isinstance(n, int) else None for n in shape[:2])
        if self.batch not in (None, 1):
            raise UserError(f"{path} takes {self.batch} images at a time: save it with a free batch, or for one")

    def forward(self, v: Tensor) -> Tensor | tuple[Tensor, ...]:
        fed = {self._name: v.detach().to("cpu", self._dtype).contiguous().numpy()}
        found = [torch.from_numpy(a).to(v) for a in self._session(v.device.type).run(None, fed)]
        return found[0] if len(found) == 1 else tuple(found)

    def _session(self, device: str) -> Any:
        """One a kind of device; its sums are always taken in one order."""
        if device not in self._sessions:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import onnxruntime as ort

            options = ort.SessionOptions()
            options.log_severity_level, options.use_deterministic_compute = 3, True
            options.add_session_config_entry("session.model_external_initializers_file_folder_path", self._nowhere)
            options.intra_op_num_threads = torch.get_num_threads()
            wanted = ["CUDAExecutionProvider"] if device == "cuda" else []
            providers = [p for p in [*wanted, "CPUExecutionProvider"] if p in ort.get_available_providers()]
            self._sessions[device] = ort.InferenceSession(self._content, options, providers=providers)
        return self._sessions[device]
