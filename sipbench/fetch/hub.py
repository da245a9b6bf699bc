"""A model of the hub as a folder: its settings and its weights, each checked with the hash that the hub tells.

HF_ENDPOINT names a mirror and HF_TOKEN a password, as everywhere. Weights that the hub has as a pickle alone are read
as tensors, nothing else, and kept as safetensors.
"""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from sipbench.fetch.download import Tell, download, sha256_of, silent
from sipbench.fetch.web import FetchError, Web, shown
from sipbench.safety import sizes
from sipbench.safety.text import HIDDEN
from sipbench.safety.whole import whole

SAFE = ("diffusion_pytorch_model.safetensors", "model.safetensors")
PICKLED = "diffusion_pytorch_model.bin"


def address(repo: str) -> str:
    """The page of a model."""
    return f"{(os.environ.get('HF_ENDPOINT') or 'https://huggingface.co').rstrip('/')}/{repo}"


def snapshot(repo: str, folder: Path, tell: Tell = silent, web: Web | None = None) -> None:
    """Get the model into its folder. What is there already is kept; the weights by which it is found come last."""
    page = address(repo)
    web = web or Web(token=os.environ.get("HF_TOKEN", "").strip())
    about = f"{page.removesuffix(repo)}api/models/{repo}/revision/main?blobs=true"
    text, _ = web.text(about)
    try:
        told = json.loads(text)
        revision, files = told["sha"], {str(one["rfilename"]): _sha256(one) for one in told["siblings"]}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FetchError(f"{shown(about)} answers with something else than a list of files") from error
    wanted = list(_wanted(list(files)))
    if not any(PurePosixPath(name).name in (*SAFE, PICKLED) for name in wanted):
        raise FetchError(f"{shown(page)} has no weights in diffusers format")
    for name in wanted:
        path, sha256 = folder / name, files[name]
        made = path.with_name(SAFE[0]) if path.name == PICKLED else path
        if made != path and made.is_file() or (path.is_file() and sha256 and sha256_of(path) == sha256):
            continue
        download(f"{page}/resolve/{quote(str(revision))}/{quote(name)}", path, sha256, tell, web)
        if made != path:
            unpickled(path, made)


def unpickled(path: Path, made: Path) -> None:
    """Tensors of a pickle as safetensors; a pickle of anything else is refused. The pickle goes."""
    from safetensors.torch import save_file

    try:
        state = sizes.weights(path)
        with whole(made, shared=False) as beside:
            save_file({name: tensor.contiguous() for name, tensor in state.items()}, beside)
            os.chmod(beside, 0o644)
    except (pickle.UnpicklingError, AttributeError, RuntimeError, ValueError) as error:
        path.unlink()
        raise FetchError(f"{path.name} holds something else than tensors: {' '.join(str(error).split())}") from error
    path.unlink()


def _wanted(names: list[str]) -> Iterator[str]:
    """Settings, then the weights of the parts, then those of the model itself; a pickle where there is nothing else."""
    safe = {PurePosixPath(name).parent for name in names if PurePosixPath(name).name in SAFE}
    chosen = []
    for name in sorted(names):
        path = PurePosixPath(name)
        if path.is_absolute() or any(part.startswith(".") for part in path.parts) or HIDDEN.search(name):
            continue  # not of the model, or `..`, which leads out of its folder, or no name of a file
        pickled = path.name == PICKLED and path.parent not in safe
        if path.suffix == ".json" or path.name in SAFE or pickled:
            chosen.append(path)
    chosen.sort(key=lambda path: (path.suffix != ".json", str(path.parent) in (".", "unet")))
    yield from map(str, chosen)


def _sha256(file: dict[str, Any]) -> str:
    """The hash that the hub tells of a large file."""
    return str((file.get("lfs") or {}).get("sha256") or "")
