"""Small folders of pairs in every layout."""

import numpy as np
import torch
from PIL import Image
from scipy.io import savemat
from scipy.signal import convolve2d
from skimage import data
from skimage.transform import rotate

SIDE = 72


def rng(seed=0):
    return np.random.default_rng(seed)


def sharp(k=0, side=SIDE):
    """A part of a photograph, (side, side) in [0, 1]."""
    return data.camera()[64 + 24 * k :, 96:][: 2 * side : 2, : 2 * side : 2] / 255


def lean(side=7):
    """A kernel that is not like its half-turn."""
    k = np.zeros((side, side))
    k[0, :3], k[1:, 2] = 3, 1
    return k / k.sum()


def blurred(x, k, sigma=0.0, seed=0):
    y = convolve2d(np.pad(x, len(k) // 2, mode="edge"), k, mode="valid")
    return np.clip(y + sigma * rng(seed).normal(size=y.shape), 0, 1)


def eight(x):
    return np.round(255 * np.clip(x, 0, 1)).astype(np.uint8)


def colours(x):
    return np.stack([x, x, x], -1)


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def folder(root, count=2, kernel=True, side=SIDE):
    for i in range(count):
        k, x = lean(), sharp(i, side)
        save(root / "x" / f"p{i}.png", eight(x))
        save(root / "y" / f"p{i}.png", eight(blurred(x, k)))
        if kernel:
            (root / "kernel").mkdir(exist_ok=True)
            np.save(root / "kernel" / f"p{i}.npy", k)
    return root


def levin(root, turned=True):
    k = lean()[::-1, ::-1] if turned else lean()
    for i, j in ((5, 1), (8, 8)):
        x = sharp(i - 5)
        savemat(root / f"im{i:02d}_flit{j:02d}.mat", {"x": x, "y": blurred(x, lean(), 0.005), "f": k})
    return root


def levin_pictures(root):
    x = sharp()
    save(root / "gt" / "im1.png", eight(x))
    save(root / "gt" / "kernel2.png", eight(lean()[::-1, ::-1] / lean().max()))
    save(root / "im1_kernel2_img.png", eight(blurred(x, lean())))
    return root


def koehler(root, frames=5, turn=0.0):
    """Each frame is moved by a pixel, or turned by some degrees."""
    way = [rotate(sharp(), turn * i, mode="edge") if turn else np.roll(sharp(), i, 0) for i in range(frames)]
    way = np.stack([colours(eight(frame)) for frame in way], -1)
    (root / "mats").mkdir(parents=True)
    savemat(root / "mats" / "GroundTruth1_1.mat", {"GroundTruth": way})
    save(root / "BlurryImages" / "Blurry1_1.png", eight(colours(way[..., 0, :].mean(-1) / 255)))
    return root


def lai(root):
    x = sharp()
    at = root / "synthetic_dataset"
    save(at / "ground_truth" / "manmade_01.png", colours(eight(x)))
    save(at / "uniform" / "manmade_01_kernel_02.png", colours(eight(blurred(x, lean()))))
    save(at / "kernel" / "kernel_02.png", eight(lean() / lean().max()))
    return root


def noisy(x, seed=0):
    return eight(x / 255 + 0.08 * rng(seed).normal(size=x.shape))


def blocks(root, measured, true, shape):
    x = np.stack([colours(eight(sharp(i % 4, 16))) for i in range(int(np.prod(shape)))]).reshape(*shape, 16, 16, 3)
    for name, content in ((true, x), (measured, noisy(x))):
        savemat(root / f"{name}.mat", {name: content})
    return root


def sidd(root):
    return blocks(root, "ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb", (2, 3))


def sidd_crops(root):
    save(root / "input_crops" / "a.png", noisy(colours(eight(sharp()))))
    save(root / "target_crops" / "a.png", colours(eight(sharp())))
    return root


def sidd_photographs(root):
    at = root / "Data" / "0001_001_S6_00100_00060_3200_L"
    save(at / "0001_NOISY_SRGB_010.PNG", noisy(colours(eight(sharp()))))
    save(at / "0001_GT_SRGB_010.PNG", colours(eight(sharp())))
    return root


def ntire(root):
    return blocks(root, "siddplus_valid_noisy_srgb", "siddplus_valid_gt_srgb", (4,))


def ntire_pictures(root, side=16):
    for i in range(2):
        x = colours(eight(sharp(i, side)))
        save(root / "siddplus_valid_noisy_srgb" / f"{i:04d}.PNG", noisy(x, i))
        save(root / "siddplus_valid_gt_srgb" / f"{i:04d}.PNG", x)
    return root


def crystal(side=16):
    """A complex object in the middle half of its frame."""
    inner = side // 2
    phase = rng().uniform(-1, 1, (inner, inner))
    return np.pad(0.8 * np.exp(1j * phase), side // 4)


def bragg(root):
    x = crystal()
    pattern = np.abs(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(x), norm="ortho"))) ** 2
    for place, array in (("pattern", pattern), ("object", x)):
        (root / place).mkdir(parents=True)
        np.save(root / place / "a.npy", array)
    return root


MAKERS = {
    "folder": (folder, "folder", 2, (3, SIDE, SIDE)),
    "levin": (levin, "levin", 2, (1, SIDE, SIDE)),
    "levin_pictures": (levin_pictures, "levin", 1, (1, SIDE, SIDE)),
    "koehler": (koehler, "koehler", 1, (3, SIDE, SIDE)),
    "lai": (lai, "lai", 1, (3, SIDE, SIDE)),
    "sidd": (sidd, "sidd", 6, (3, 16, 16)),
    "sidd_crops": (sidd_crops, "sidd", 1, (3, SIDE, SIDE)),
    "sidd_photographs": (sidd_photographs, "sidd", 1, (3, SIDE, SIDE)),
    "ntire": (ntire, "ntire", 4, (3, 16, 16)),
    "ntire_pictures": (ntire_pictures, "ntire", 2, (3, 16, 16)),
    "bragg": (bragg, "bragg", 1, (1, 16, 16)),
}


def tensor(picture):
    """A picture as the harness reads it."""
    image = torch.from_numpy(np.asarray(picture, np.float32) / 255) * 2 - 1
    return image[None] if image.ndim == 2 else image.permute(2, 0, 1)
