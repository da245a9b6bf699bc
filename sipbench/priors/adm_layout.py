"""The network of guided-diffusion (ADM), read off its weights: Dhariwal and Nichol, https://arxiv.org/abs/2105.05233.

A level has n residual blocks, each followed by attention or not, and ends in a halving; on the way up it has n + 1 and
ends in a doubling. `input_blocks`, `middle_block` and `output_blocks` hold them in the order in which they run. In
`UNet2DModel` the same layers stand under other names: `names` is the dictionary, `config` the architecture.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sipbench.errors import UserError

RES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
ATTENTION = {"norm": "group_norm", "proj_out": "to_out.0"}
ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
SIZES = {
    (1, 2, 3, 4): 64,
    (1, 1, 2, 3, 4): 128,
    (1, 1, 2, 2, 4, 4): 256,
}  # multipliers that guided-diffusion gives a size


@dataclass(frozen=True)
class Layout:
    """channels: of each level; res_blocks: n; attention: which levels have it; resampling: "resnet" or "conv"."""

    in_channels: int
    out_channels: int
    channels: tuple[int, ...]
    res_blocks: int
    attention: tuple[bool, ...]
    resampling: str
    scale_shift: bool

    @property
    def image_size(self) -> int | None:
        """The size that networks of these multipliers have in guided-diffusion."""
        return SIZES.get(tuple(c // self.channels[0] for c in self.channels))

    @property
    def factor(self) -> int:
        """By how much the coarsest level is smaller than the image."""
        return 2 ** (len(self.channels) - 1)


def infer(state: Mapping[str, Tensor]) -> Layout:
    """The layout, or an error where the weights are of another kind of network."""
    if "label_emb.weight" in state:
        raise UserError("it is class-conditional (it has label_emb), and a prior here has no classes: use one without")
    blocks, ups = _count(state, "output_blocks"), []
    for i in range(blocks):
        last = f"output_blocks.{i}.{_count(state, f'output_blocks.{i}') - 1}"
        if not last.endswith(".0") and (f"{last}.conv.weight" in state or f"{last}.in_layers.2.weight" in state):
            ups.append(last)
    levels = len(ups) + 1
    per_level, rest = divmod(blocks, levels)
    if rest or per_level < 2 or _count(state, "input_blocks") != blocks or "middle_block.1.qkv.weight" not in state:
        raise UserError("it is not a network of guided-diffusion: its blocks do not form levels")
    firsts = [f"input_blocks.{1 + level * per_level}" for level in range(levels)]
    out, embedding = (_get(state, f"{firsts[0]}.0.{name}.weight").shape[0] for name in ("out_layers.3", "emb_layers.1"))
    layout = Layout(
        in_channels=_get(state, "input_blocks.0.0.weight").shape[1],
        out_channels=_get(state, "out.2.weight").shape[0],
        channels=tuple(_get(state, f"{first}.0.out_layers.3.weight").shape[0] for first in firsts),
        res_blocks=per_level - 1,
        attention=tuple(f"{first}.1.qkv.weight" in state for first in firsts),
        resampling="conv" if ups and f"{ups[0]}.conv.weight" in state else "resnet",
        scale_shift=embedding == 2 * out,
    )
    if _get(state, "time_embed.0.weight").shape[1] != layout.channels[0]:
        raise UserError(
            "its time embedding is wider than its first level, which UNet2DModel cannot be (512-pixel networks)"
        )
    if layout.out_channels not in (layout.in_channels, 2 * layout.in_channels):
        raise UserError(f"it maps {layout.in_channels} channels to {layout.out_channels}: no model of images alone")
    return layout


def config(layout: Layout, image_size: int, head_channels: int) -> dict[str, Any]:
    """The same architecture as the config of a `UNet2DModel`."""
    down, up = ("Resnet", "sample") if layout.resampling == "resnet" else ("", "")
    kinds = [
        ("AttnDownBlock2D", "AttnUpBlock2D") if attends else (f"{down}Down{up}Block2D", f"{down}Up{up}Block2D")
        for attends in layout.attention
    ]
    return {
        "_class_name": "UNet2DModel",
        "act_fn": "silu",
        "attention_head_dim": head_channels,
        "attn_norm_num_groups": 32,  # without it the middle attention has no norm under scale_shift
        "block_out_channels": list(layout.channels),
        "down_block_types": [kind[0] for kind in kinds],
        "downsample_type": layout.resampling,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
        "in_channels": layout.in_channels,
        "layers_per_block": layout.res_blocks,
        "norm_eps": 1e-5,
        "norm_num_groups": 32,
        "out_channels": layout.out_channels,
        "resnet_time_scale_shift": "scale_shift" if layout.scale_shift else "default",
        "sample_size": image_size,
        "up_block_types": [kind[1] for kind in reversed(kinds)],
        "upsample_type": layout.resampling,
    }


def names(layout: Layout) -> Iterator[tuple[str, str]]:
    """(name in the checkpoint, name in `UNet2DModel`) of every layer with weights but the fused q, k, v."""
    yield from ENDS.items()
    for theirs, ours in modules(layout):
        table = ATTENTION if ".attentions." in ours else RES
        if layout.resampling == "conv" and "samplers." in ours:
            table = {"op": "conv"} if "down" in ours else {"conv": "conv"}
        yield from ((f"{theirs}.{a}", f"{ours}.{b}") for a, b in table.items())


def modules(layout: Layout) -> Iterator[tuple[str, str]]:
    """(name in the checkpoint, name in `UNet2DModel`) of every residual block, attention and change of size."""
    n, levels = layout.res_blocks, len(layout.channels)
    for level, attends in enumerate(layout.attention):
        for i in range(n):
            yield from _pair(f"input_blocks.{1 + level * (n + 1) + i}", f"down_blocks.{level}", i, attends)
        if level < levels - 1:
            yield f"input_blocks.{(level + 1) * (n + 1)}.0", f"down_blocks.{level}.downsamplers.0"
    yield from _pair("middle_block", "mid_block", 0, True)
    yield "middle_block.2", "mid_block.resnets.1"
    for level, attends in enumerate(reversed(layout.attention)):
        for i in range(n + 1):
            yield from _pair(f"output_blocks.{level * (n + 1) + i}", f"up_blocks.{level}", i, attends)
        if level < levels - 1:
            yield f"output_blocks.{level * (n + 1) + n}.{1 + attends}", f"up_blocks.{level}.upsamplers.0"


def rename(state: Mapping[str, Tensor], layout: Layout, head_channels: int) -> dict[str, Tensor]:
    """The weights under their names in a `UNet2DModel`; kernels of one pixel become matrices in attention."""
    out: dict[str, Tensor] = {}
    for part in ("weight", "bias"):
        for theirs, ours in names(layout):
            if f"{theirs}.{part}" in state:
                tensor = state[f"{theirs}.{part}"]
                out[f"{ours}.{part}"] = _matrix(tensor) if ".to_out." in ours else tensor
        for theirs, ours in modules(layout):
            if f"{theirs}.qkv.{part}" in state:
                split = split_heads(_matrix(state[f"{theirs}.qkv.{part}"]), head_channels)
                out |= {f"{ours}.to_{letter}.{part}": x for letter, x in zip("qkv", split, strict=True)}
    return {name: tensor.contiguous() for name, tensor in out.items()}


def split_heads(qkv: Tensor, head_channels: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v of a fused weight or bias, whose rows are q, k, v of the first head, then of the second, and so on."""
    if qkv.shape[0] % (3 * head_channels):
        heads = f"{qkv.shape[0] // 3} channels do not divide into heads of {head_channels}"
        raise UserError(f"its attention of {heads}: say head_channels=N")
    q, k, v = qkv.unflatten(0, (-1, 3, head_channels)).unbind(1)
    return q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)


def check(state: Mapping[str, Tensor], renamed: Mapping[str, Tensor], layout: Layout, content: dict[str, Any]) -> None:
    """An error unless every tensor of the checkpoint has its place, and every place its tensor of the right shape."""
    from diffusers import UNet2DModel

    known = {theirs for theirs, _ in names(layout)} | {f"{theirs}.qkv" for theirs, _ in modules(layout)}
    strange = sorted(key for key in state if key.rpartition(".")[0] not in known)
    with torch.device("meta"):
        places: Any = UNet2DModel.from_config({k: v for k, v in content.items() if k[0] != "_"}).state_dict()  # pyright: ignore
    lost = sorted(places.keys() - renamed.keys())
    wrong = [k for k in sorted(places.keys() & renamed.keys()) if places[k].shape != renamed[k].shape]
    strange += sorted(renamed.keys() - places.keys())
    for what, which in (("unknown keys", strange), ("no weights for", lost), ("another shape than expected", wrong)):
        if which:
            more = f" and {len(which) - 3} more" if len(which) > 3 else ""
            raise UserError(
                f"it is not a network of guided-diffusion as known here: {what}: {', '.join(which[:3])}{more}"
            )


def _pair(theirs: str, ours: str, i: int, attends: bool) -> Iterator[tuple[str, str]]:
    yield f"{theirs}.0", f"{ours}.resnets.{i}"
    if attends:
        yield f"{theirs}.1", f"{ours}.attentions.{i}"


def _matrix(tensor: Tensor) -> Tensor:
    return tensor.flatten(1) if tensor.ndim > 1 else tensor


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many numbered parts a list of modules has."""
    return len({key[len(prefix) + 1 :].split(".")[0] for key in state if key.startswith(f"{prefix}.")})


def _get(state: Mapping[str, Tensor], key: str) -> Tensor:
    if key not in state:
        raise UserError(f"it is not a network of guided-diffusion: it has no {key}")
    return state[key]
