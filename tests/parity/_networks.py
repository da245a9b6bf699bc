"""The public networks, written out in torch's own layers for one image, and the weights of ours put into them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.single.fields import relu_network, sine_network
from baselines.single.kernels import MLP


class Reflected(nn.Conv2d):
    """A convolution after reflection padding."""

    def __init__(self, c_in, c_out, k=1, stride=1):
        super().__init__(c_in, c_out, k, stride, dtype=torch.float64)

    def forward(self, x):
        pad = self.kernel_size[0] // 2
        return super().forward(F.pad(x, [pad] * 4, mode="reflect"))


class Block(nn.Module):
    """Convolution, pooling where it is asked for, batch norm of the batch of one, leaky ReLU."""

    def __init__(self, c_in, c_out, k=1, stride=1, pool=False):
        super().__init__()
        self.conv, self.norm = Reflected(c_in, c_out, k, stride), nn.BatchNorm2d(c_out, dtype=torch.float64)
        self.pool = nn.AvgPool2d(2, 2) if pool else nn.Identity()

    def forward(self, x):
        return F.leaky_relu(self.norm(self.pool(self.conv(x))), 0.2)


class Scale(nn.Module):
    """One scale of the skip network of the deep image prior; what is joined loses the margin of the larger."""

    def __init__(self, c_in, channels, skip, upsample, kernel, pool, up_1x1):
        super().__init__()
        c, *deeper = channels
        self.upsample = nn.Upsample(scale_factor=2, mode=upsample)
        self.skip = Block(c_in, skip[0]) if skip[0] else None
        first = Block(c_in, c, kernel, 1, True) if pool else Block(c_in, c, kernel, 2)
        self.down = nn.Sequential(first, Block(c, c, kernel))
        rest = (upsample, kernel, pool, up_1x1)
        self.deeper = Scale(c, deeper, skip[1:], *rest) if deeper else nn.Identity()
        joined = skip[0] + (deeper[0] if deeper else c)
        self.norm = nn.BatchNorm2d(joined, dtype=torch.float64)
        self.up = nn.Sequential(Block(joined, c, 3), *([Block(c, c)] if up_1x1 else []))

    def forward(self, x):
        parts = [] if self.skip is None else [self.skip(x)]
        parts.append(self.upsample(self.deeper(self.down(x))))
        h, w = (min(p.shape[axis] for p in parts) for axis in (2, 3))
        tops, lefts = ([(p.shape[axis] - n) // 2 for p in parts] for axis, n in ((2, h), (3, w)))
        cut = [p[..., i : i + h, j : j + w] for p, i, j in zip(parts, tops, lefts, strict=True)]
        return self.up(self.norm(torch.cat(cut, 1)))


class Skip(nn.Module):
    """The hourglass of the deep image prior, with its output in [0, 1]."""

    def __init__(self, c_in, c_out, channels, skip, *, upsample="bilinear", kernel=3, pool=False, up_1x1=True):
        super().__init__()
        self.scales = Scale(c_in, channels, skip, upsample, kernel, pool, up_1x1)
        self.head = Reflected(channels[0], c_out)

    def forward(self, z):
        return self.head(self.scales(z)).sigmoid()


def take(theirs: nn.Module, ours: nn.Module, i: int) -> nn.Module:
    """The network with the weights of image i of ours, which has the same names."""
    for name, parameter in theirs.named_parameters():
        value = ours.get_parameter(name).detach()[i]
        parameter.data = value.reshape(parameter.shape).clone()
    return theirs


def unit(x: Tensor) -> Tensor:
    """From [-1, 1] to [0, 1]."""
    return (x + 1) / 2


class DeepDecoder(nn.Module):
    """Mixing without bias, upsampling by two but at the last size, ReLU, norm; a head and a sigmoid."""

    def __init__(self, k, c_out, scales):
        super().__init__()
        self.mix = nn.ModuleList([nn.Conv2d(k, k, 1, bias=False, dtype=torch.float64) for _ in range(scales + 1)])
        self.norm = nn.ModuleList([nn.BatchNorm2d(k, dtype=torch.float64) for _ in range(scales + 1)])
        self.head = nn.Conv2d(k, c_out, 1, bias=False, dtype=torch.float64)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x):
        for i, (mix, norm) in enumerate(zip(self.mix, self.norm, strict=True)):
            x = mix(x) if i + 1 == len(self.mix) else self.up(mix(x))
            x = norm(F.relu(x))
        return self.head(x).sigmoid()


class ConvDecoder(nn.Module):
    """Nearest upsampling to given sizes, a convolution with zeros around, ReLU, norm; a head, not bounded."""

    def __init__(self, channels, c_out, sizes):
        super().__init__()
        self.sizes = sizes
        self.conv = nn.ModuleList([nn.Conv2d(channels, channels, 3, padding=1, dtype=torch.float64) for _ in sizes])
        self.norm = nn.ModuleList([nn.BatchNorm2d(channels, dtype=torch.float64) for _ in sizes])
        self.head = nn.Conv2d(channels, c_out, 1, dtype=torch.float64)

    def forward(self, x):
        for size, conv, norm in zip(self.sizes, self.conv, self.norm, strict=True):
            x = norm(F.relu(conv(nn.Upsample(size=tuple(size), mode="nearest")(x))))
        return self.head(x)


class NonLocal(nn.Module):
    """A non-local block of dot products, sub-sampling its values and keys by the largest of 2 x 2 pixels."""

    def __init__(self, c):
        super().__init__()
        self.g, self.theta, self.phi = (nn.Conv2d(c, c // 2, 1, dtype=torch.float64) for _ in range(3))
        self.W = nn.Conv2d(c // 2, c, 1, dtype=torch.float64)
        self.norm = nn.BatchNorm2d(c, dtype=torch.float64)

    def forward(self, x):
        pool = nn.MaxPool2d(2)
        values, keys = pool(self.g(x))[0], pool(self.phi(x))[0]
        alike = torch.einsum("cij,cpq->ijpq", self.theta(x)[0], keys) / keys[0].numel()
        return x + self.norm(self.W(torch.einsum("ijpq,cpq->cij", alike, values)[None]))


def looking(network: Skip) -> Skip:
    """The hourglass with a non-local block behind the strided convolution of each scale from the third on."""
    scale, depth = network.scales, 0
    while isinstance(scale, Scale):
        if depth >= 2:
            strided, plain = scale.down
            scale.down = nn.Sequential(strided, NonLocal(strided.conv.out_channels), plain)
        scale, depth = scale.deeper, depth + 1
    return network


class KernelNetwork(nn.Module):
    """A fixed vector, a hidden layer with ReLU6, and the softmax of one logit a pixel."""

    def __init__(self, side, z):
        super().__init__()
        self.z, self.side = z, side
        self.first = nn.Linear(z.shape[-1], 1000, dtype=torch.float64)
        self.last = nn.Linear(1000, side * side, dtype=torch.float64)

    def forward(self):
        logits = self.last(F.relu6(self.first(self.z))).flatten()
        return logits.softmax(0).view(1, 1, self.side, self.side)


def kernel_networks(problem, side):
    """The kernel's network of each image, with the weights that are drawn for ours."""
    ours = MLP(problem.rng.child("kernel").portable, (side, side), torch.float64)
    return [take(KernelNetwork(side, ours.z[i]), ours, i) for i in range(len(ours.z))]


class Bounded(Reflected):
    """A convolution whose weight, as a matrix of its outputs, is divided by its norm where that exceeds the bound."""

    def __init__(self, c_in, c_out, bound):
        super().__init__(c_in, c_out, 3)
        self.bound = bound

    def forward(self, x):
        s = torch.linalg.svdvals(self.weight.detach().flatten(1))[0]
        weight = self.weight / max(1.0, (s / self.bound).item())
        return F.conv2d(F.pad(x, [1] * 4, mode="reflect"), weight, self.bias)


class Centred(nn.Module):
    """Batch norm that takes the mean off and adds a bias, no more."""

    def __init__(self, c):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, c, 1, 1, dtype=torch.float64))

    def forward(self, x):
        return x - x.mean((0, 2, 3), keepdim=True) + self.bias


class Spectral(nn.Module):
    """The decoder whose spectral bias is controlled: twice bounded convolution, mean, leaky ReLU at each size."""

    def __init__(self, c_in, c_out, c, scales, bound, upsample):
        super().__init__()

        def twice(c_in):
            first = [Bounded(c_in, c, bound), Centred(c), nn.LeakyReLU()]
            return nn.Sequential(*first, Bounded(c, c, bound), Centred(c), nn.LeakyReLU())

        self.scales = nn.ModuleList([twice(c_in), *(twice(c) for _ in range(scales))])
        self.head, self.upsample = Reflected(c, c_out), upsample

    def forward(self, z):
        x = self.scales[0](z)
        for i, scale in enumerate(list(self.scales)[1:]):
            x = scale(self.up(x, (0.1, 0.1, 0.1, 0.5, 0.5)[i]))
        return self.head(x).sigmoid()

    def up(self, x, sigma):
        if self.upsample == "bilinear":
            return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        at = torch.arange(5, dtype=x.dtype) - 2
        kernel = torch.exp(-((at / 2) ** 2)[:, None] / (2 * sigma**2) - ((at / 2) ** 2) / (2 * sigma**2))
        kernel = (kernel / kernel.sum()).expand(x.shape[1], 1, 5, 5)
        return F.conv_transpose2d(x, kernel, stride=2, padding=2, output_padding=1, groups=x.shape[1])


def take_spectral(theirs: Spectral, ours: nn.Module, i: int) -> Spectral:
    """The same of weights that ours keeps behind a parametrisation."""
    found = dict(ours.named_parameters())
    for name, parameter in theirs.named_parameters():
        at = name if name in found else name.replace(".weight", ".parametrizations.weight.original")
        parameter.data = found[at].detach()[i].reshape(parameter.shape).clone()
    return theirs


def sines(problem, hidden, layers):
    """Weights and biases that are drawn for our network of sines."""
    network = sine_network(problem.rng.child("theta").portable, problem.shape[1], hidden, layers, 30.0, torch.float64)
    return [(layer.weight, layer.bias) for layer in network if hasattr(layer, "weight")]


def relus(problem, widths):
    """Weights and biases that are drawn for our network of ReLUs."""
    network = relu_network(problem.rng.child("theta").portable, widths, 0.01, torch.float64)
    return [(layer.weight, layer.bias) for layer in network if hasattr(layer, "weight")]


class Unet(nn.Module):
    """The denoiser of DIP with SURE: two convolutions a scale, nearest upsampling, softplus; joined parts normed."""

    def __init__(self, c, down, width):
        super().__init__()

        def block(*channels, stride=1, joined=False):
            layers = [nn.BatchNorm2d(channels[0], dtype=torch.float64)] if joined else []
            for c_in, c_out in zip(channels, channels[1:], strict=False):
                layers += [Reflected(c_in, c_out, 3, stride), nn.BatchNorm2d(c_out, dtype=torch.float64), nn.Softplus()]
                stride = 1
            return nn.Sequential(*layers)

        pairs = zip([c, *down], down, strict=False)
        self.down = nn.ModuleList([block(a, b, b, stride=2) for a, b in pairs])
        self.bottom = block(down[-1], width)
        self.up = nn.ModuleList([block(width + skip, width, width, joined=True) for skip in down[-2::-1]])
        self.last = nn.Sequential(block(width + c, 64, 32), Reflected(32, c, 3), nn.Sigmoid())

    def forward(self, y):
        seen = [y]
        for part in self.down:
            seen.append(part(seen[-1]))
        x = self.bottom(seen.pop())
        for part in [*self.up, self.last]:
            x = part(torch.cat([nn.Upsample(scale_factor=2)(x), seen.pop()], 1))
        return x
