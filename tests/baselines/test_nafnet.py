"""NAFNet against its formulas written a second time, and against spandrel's with copied weights."""

import pytest
import torch
import torch.nn.functional as F

from baselines.datarich.nafnet import NAFNet
from tests.baselines.reference import gap


def randomised(make, **options):
    torch.manual_seed(0)
    net = make(**options).double().requires_grad_(False)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return net


def block(x, w, name):
    """The paper's figure 3d, from the weights by their public names."""

    def conv(v, layer, **options):
        return F.conv2d(v, w[f"{name}.{layer}.weight"], w.get(f"{name}.{layer}.bias"), **options)

    def norm(v, layer):
        rows = F.layer_norm(
            v.permute(0, 2, 3, 1), v.shape[1:2], w[f"{name}.{layer}.weight"], w[f"{name}.{layer}.bias"], 1e-6
        )
        return rows.permute(0, 3, 1, 2)

    def gated(v):
        half = v.shape[1] // 2
        return v[:, :half] * v[:, half:]

    v = conv(norm(x, "norm1"), "conv1")
    v = gated(conv(v, "conv2", padding=1, groups=v.shape[1]))
    v = v * conv(v.mean((2, 3), keepdim=True), "sca.1")
    y = x + w[f"{name}.beta"] * conv(v, "conv3")
    return y + w[f"{name}.gamma"] * conv(gated(conv(norm(y, "norm2"), "conv4")), "conv5")


def reference(w, v, levels, blocks, middle):
    x, skips = F.conv2d(v, w["intro.weight"], w["intro.bias"], padding=1), []
    for i in range(levels):
        for j in range(blocks):
            x = block(x, w, f"encoders.{i}.{j}")
        skips.append(x)
        x = F.conv2d(x, w[f"downs.{i}.weight"], w[f"downs.{i}.bias"], stride=2)
    for j in range(middle):
        x = block(x, w, f"middle_blks.{j}")
    for i in range(levels):
        x = F.pixel_shuffle(F.conv2d(x, w[f"ups.{i}.0.weight"]), 2) + skips[-1 - i]
        for j in range(blocks):
            x = block(x, w, f"decoders.{i}.{j}")
    return v + F.conv2d(x, w["ending.weight"], w["ending.bias"], padding=1)


def witness(make):
    options = {"levels": 2, "blocks": 2, "middle": 3}
    net, v = randomised(make, channels=3, width=4, **options), torch.rand(2, 3, 12, 8, dtype=torch.float64)
    wanted = reference(net.state_dict(), v, **options)
    assert gap(net(v), wanted) < 1e-9 * float(wanted.abs().max())


def test_it_is_the_network():
    witness(NAFNet)


def test_it_is_that_of_spandrel():
    public = pytest.importorskip("spandrel.architectures.NAFNet.__arch.NAFNet_arch")
    net = randomised(NAFNet, channels=3, width=4, levels=2, blocks=2, middle=3)
    theirs = public.NAFNet(img_channel=3, width=4, middle_blk_num=3, enc_blk_nums=[2, 2], dec_blk_nums=[2, 2])
    theirs.double().load_state_dict(net.state_dict())
    v = torch.rand(2, 3, 12, 8, dtype=torch.float64)
    with torch.no_grad():
        wanted = theirs(v)
    assert gap(net(v), wanted) < 1e-9 * float(wanted.abs().max())
