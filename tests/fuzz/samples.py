"""Good files of every kind that is read, and wicked ones: what is mutated."""

import io
import json
import pickle
import zipfile

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

PLANTED = "planted_by_data"
"""A module that lies ready to be imported; it is a failure if data has it imported."""


class Wicked:
    """Pickled, it is a call of the planted module."""

    def __reduce__(self):
        return eval, (f"__import__('{PLANTED}')",)


def pictures():
    rng = np.random.default_rng(0)
    grey, colours = rng.integers(0, 255, (24, 24), dtype=np.uint8), rng.integers(0, 255, (24, 24, 3), dtype=np.uint8)
    deep = Image.fromarray(rng.integers(0, 65535, (24, 24)).astype(np.uint16))
    made = [(Image.fromarray(colours), kind) for kind in ("png", "jpeg", "bmp", "tiff", "webp", "ppm", "gif")]
    made += [(Image.fromarray(grey), "png"), (deep, "png"), (Image.fromarray(colours).convert("P"), "png")]
    found = [_saved(image, kind) for image, kind in made]
    bomb = io.BytesIO()
    Image.new("1", (12000, 12000)).save(bomb, "png")
    program = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 24\n%%EndComments\n(%pipe%touch pwned) (w) file\n"
    return [*found, bomb.getvalue(), program]


def arrays():
    rng = np.random.default_rng(0)
    shapes = [(3, 16, 16), (16, 16), (2, 1, 9, 9), (1, 12)]
    found = [_npy(rng.random(shape).astype(kind)) for shape in shapes for kind in ("f4", "f8")]
    lie = found[0].replace(b"(3, 16, 16), ", b"(3000000000,)")
    return [*found, lie, _npy(rng.random((4, 4)) + 1j), _npy(np.array([Wicked()], dtype=object), pickled=True)]


def tensors():
    net = {"weight": torch.rand(4, 3, 3, 3), "bias": torch.rand(4)}
    about = {"sipbench": json.dumps({"key": "a" * 64, "operator": {"size": 3}, "noise": {}})}
    kernel, wicked = {"kernel": torch.rand(7, 7)}, {"x": torch.rand(3, 8, 8), "theta.../../x": torch.rand(3)}
    return [save(net), save({"y": torch.rand(3, 8, 8)}, about), save(kernel), save(wicked)]


def saved():
    """What torch.save writes: weights, weights below a name, a view of nothing, and a call."""
    net = {"weight": torch.rand(4, 3, 3, 3), "bias": torch.rand(4)}
    things = [net, {"state_dict": net, "epoch": 3}, torch.rand(7, 7), {"kernel": torch.zeros(1).expand(10**6, 10**6)}]
    found = [_torch(thing) for thing in (*things, Wicked(), torch.nn.Linear(2, 2))]
    found.append(_torch(net, _use_new_zipfile_serialization=False))
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(found[0])) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    return [*found, packed.getvalue(), pickle.dumps(Wicked()), pickle.dumps({"a": {"b": np.ones(3)}})]


def guided():
    """Checkpoints of guided diffusion, plain and below a name, beside what torch.save writes else."""
    from tests.priors.adm_network import random_network

    state = random_network(channels=32, multipliers=(1, 2), attention=(1, 2), head_channels=32).state_dict()
    state = {name: tensor.half() for name, tensor in state.items()}
    return [_torch(state), _torch({"model": state}), *saved()]


def matlab():
    from scipy.io import savemat

    held = {"x": np.ones((8, 8)), "y": np.ones((4, 4, 3), "u1"), "s": {"a": 1}}
    plain, packed, old = io.BytesIO(), io.BytesIO(), io.BytesIO()
    savemat(plain, held)
    savemat(packed, held, do_compression=True)
    savemat(old, {"x": np.ones((8, 8))}, format="4")
    return [file.getvalue() for file in (plain, packed, old)]


def onnx():
    from onnx import TensorProto, helper

    shape = [1, 3, 8, 8]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return [model.SerializeToString()]


def parquet():
    """With room for the seal that each mutant gets."""
    import pandas as pd
    import pyarrow as pa
    from pyarrow import parquet

    from sipbench.bench import sealed

    rows = [{"image": i, "status": "ok", "reason": "", "metrics_version": 1, "psnr": 20.0 + i, "kept": True,
             "device": "cpu", "curve_step": [1, 2], "estimate": tensors()[3]} for i in range(4)]  # fmt: skip
    table, file = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False), io.BytesIO()
    table = table.replace_schema_metadata({**table.schema.metadata, sealed.NAME: sealed.EMPTY})
    parquet.write_table(table, file, write_page_checksum=True, store_schema=True)
    return [file.getvalue()]


def _saved(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def _npy(array, pickled=False):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=pickled)
    return file.getvalue()


def _torch(thing, **options):
    file = io.BytesIO()
    torch.save(thing, file, **options)
    return file.getvalue()
