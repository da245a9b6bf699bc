"""What the deep image prior is measured with: Lanczos-2 super-resolution, and text written over an image."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont

from sipbench.operators import masks
from sipbench.operators.lanczos import LanczosDownsampling
from sipbench.operators.sampling import BicubicDownsampling, TextInpainting
from tests.operators.posing import close, draw, make


def lanczos_2(factor):
    """The two-dimensional filter by its formula, term by term: 4 factor taps a side, the middle between two of them."""

    def lobe(t):
        return 2 * math.sin(math.pi * t) * math.sin(math.pi * t / 2) / (math.pi * t) ** 2

    taps = [lobe((i + 0.5 - 2 * factor) / factor) for i in range(4 * factor)]
    kernel = torch.tensor([[a * b for b in taps] for a in taps], dtype=torch.float64)
    return kernel / kernel.sum()


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_lanczos_is_a_convolution_with_a_stride_on_a_repeated_edge(factor):
    x = draw(2, 3, 48, 32)
    y = make(LanczosDownsampling, x.shape, factor=factor)(x)
    padded = F.pad(x, [3 * factor // 2] * 4, mode="replicate")
    expected = F.conv2d(padded, lanczos_2(factor).expand(3, 1, -1, -1), stride=factor, groups=3)
    assert close(y, expected, 1e-12)
    assert not close(y, make(BicubicDownsampling, x.shape, factor=factor)(x), 1e-3)


def test_a_text_is_made_of_letters():
    """An enlarged letter is enlarged alike in both directions; words differ from image to image, and they are words."""
    one, two = (make(TextInpainting, (3, 3, 88, 132), height=h).mask[:, 0] for h in (0.083, 0.166))
    assert 0.1 < 1 - one.mean() < 0.3 and 0.1 < 1 - two.mean() < 0.3
    blocks = two.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3)
    assert torch.equal(blocks.amin(3), blocks.amax(3))
    assert not torch.equal(one.unfold(1, 2, 2).unfold(2, 2, 2).flatten(3).amin(3), one[:, ::2, ::2])
    assert not torch.equal(one[0], one[1])
    font = ImageFont.load_default_imagefont()
    words = {word: Image.new("1", (6 * len(word), 11), 1) for word in masks.WORDS}
    for word, page in words.items():
        ImageDraw.Draw(page).text((0, 0), word, fill=0, font=font)
    patterns = [torch.from_numpy(np.asarray(page, np.float32)) for page in words.values()]
    assert all(any(found(mask, pattern) for pattern in patterns) for mask in one)


def found(mask, pattern):
    """Whether a pattern lies somewhere in a mask."""
    h, w = pattern.shape
    return bool((mask.unfold(0, h, 1).unfold(1, w, 1) == pattern).all(-1).all(-1).any())
