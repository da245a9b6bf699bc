"""The network of guided-diffusion (ADM), written from the description of its architecture, for `import-prior` to meet.

The names of its modules are those of the official checkpoints. Dhariwal and Nichol, https://arxiv.org/abs/2105.05233.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


class Norm(nn.GroupNorm):
    def __init__(self, channels):
        super().__init__(32, channels)


class Residual(nn.Module):
    """h = conv(silu(scale_shift(norm(conv(resample(silu(norm(x))))), time))) + skip(resample(x))."""

    def __init__(self, c_in, c_out, c_time, *, scale_shift, resample=None):
        super().__init__()
        self.in_layers = nn.Sequential(Norm(c_in), nn.SiLU(), nn.Conv2d(c_in, c_out, 3, padding=1))
        self.emb_layers = nn.Sequential(nn.SiLU(), nn.Linear(c_time, c_out * (2 if scale_shift else 1)))
        self.out_layers = nn.Sequential(Norm(c_out), nn.SiLU(), nn.Dropout(0.1), nn.Conv2d(c_out, c_out, 3, padding=1))
        self.skip_connection = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1)
        self.scale_shift, self.resample = scale_shift, resample or nn.Identity()

    def forward(self, x, time):
        h = self.in_layers[2](self.resample(self.in_layers[1](self.in_layers[0](x))))
        e = self.emb_layers(time)[..., None, None]
        if self.scale_shift:
            half = e.shape[1] // 2
            h = self.out_layers[0](h) * (1 + e[:, :half]) + e[:, half:]
        else:
            h = self.out_layers[0](h + e)
        for layer in list(self.out_layers)[1:]:
            h = layer(h)
        return self.skip_connection(self.resample(x)) + h


class Attention(nn.Module):
    """Heads side by side; the fused rows are q, k, v of the first head, then q, k, v of the second, ..."""

    def __init__(self, channels, head_channels):
        super().__init__()
        self.norm = Norm(channels)
        self.qkv = nn.Conv1d(channels, 3 * channels, 1)
        self.proj_out = nn.Conv1d(channels, channels, 1)
        self.d = head_channels

    def forward(self, x, time):
        rows = self.qkv(self.norm(x).flatten(2))
        heads = []
        for first in range(0, rows.shape[1], 3 * self.d):
            q, k, v = (rows[:, first + i * self.d : first + (i + 1) * self.d] for i in range(3))
            weight = torch.softmax(torch.einsum("bcs,bct->bst", q, k) / math.sqrt(self.d), dim=2)
            heads.append(torch.einsum("bst,bct->bcs", weight, v))
        return x + self.proj_out(torch.cat(heads, 1)).view_as(x)


class Down(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.op = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x, time):
        return self.op(x)


class Up(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x, time):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Plain(nn.Conv2d):
    """The first convolution, which is told no time."""

    def forward(self, x, time):
        return super().forward(x)


class ADM(nn.Module):
    """channels, multipliers and res_blocks of the levels; attention at these factors of downsampling."""

    def __init__(
        self, channels=128, multipliers=(1, 1, 2, 2, 4, 4), res_blocks=1, attention=(16,), *, head_channels=64,
        scale_shift=True, updown=True, images=3, outputs=6,
    ):  # fmt: skip
        super().__init__()
        self.channels, c_time = channels, 4 * channels
        self.time_embed = nn.Sequential(nn.Linear(channels, c_time), nn.SiLU(), nn.Linear(c_time, c_time))

        def block(c_in, c_out, factor):
            layers = [Residual(c_in, c_out, c_time, scale_shift=scale_shift)]
            return layers + ([Attention(c_out, head_channels)] if factor in attention else [])

        def resized(c, resample, plain):
            return Residual(c, c, c_time, scale_shift=scale_shift, resample=resample) if updown else plain(c)

        c, factor, skips = channels, 1, [channels]
        inputs = [[Plain(images, channels, 3, padding=1)]]
        for level, multiplier in enumerate(multipliers):
            for _ in range(res_blocks):
                inputs.append(block(c, multiplier * channels, factor))
                c = multiplier * channels
                skips.append(c)
            if level < len(multipliers) - 1:
                inputs.append([resized(c, nn.AvgPool2d(2), Down)])
                skips.append(c)
                factor *= 2
        middle = [block(c, c, 0)[0], Attention(c, head_channels), block(c, c, 0)[0]]
        outs = []
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for i in range(res_blocks + 1):
                outs.append(block(c + skips.pop(), multiplier * channels, factor))
                c = multiplier * channels
                if level and i == res_blocks:
                    outs[-1].append(resized(c, nn.Upsample(scale_factor=2, mode="nearest"), Up))
                    factor //= 2
        self.input_blocks = nn.ModuleList(nn.ModuleList(layers) for layers in inputs)
        self.middle_block = nn.ModuleList(middle)
        self.output_blocks = nn.ModuleList(nn.ModuleList(layers) for layers in outs)
        self.out = nn.Sequential(Norm(c), nn.SiLU(), nn.Conv2d(c, outputs, 3, padding=1))

    def forward(self, x, step):
        half = self.channels // 2
        frequency = torch.tensor([10000 ** (-i / half) for i in range(half)], dtype=x.dtype)
        angle = step.to(x.dtype)[:, None] * frequency
        time, kept = self.time_embed(torch.cat([angle.cos(), angle.sin()], 1)), []
        for layers in self.input_blocks:
            for layer in layers:
                x = layer(x, time)
            kept.append(x)
        for layer in self.middle_block:
            x = layer(x, time)
        for layers in self.output_blocks:
            x = torch.cat([x, kept.pop()], 1)
            for layer in layers:
                x = layer(x, time)
        return self.out(x)


def random_network(seed=0, **flags):
    """A network in which every weight matters: norms and biases too are drawn."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ADM(**flags)
        for name, weight in network.named_parameters():
            if weight.ndim == 1:
                nn.init.normal_(weight, 1.0 if is_gain(network, name) else 0.0, 0.1)
    return network.requires_grad_(False).eval()


def is_gain(network, name):
    module, _, kind = name.rpartition(".")
    return kind == "weight" and isinstance(network.get_submodule(module), nn.GroupNorm)
