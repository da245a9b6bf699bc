"""Which file is whose truth: in a folder of one's own, and in the releases that blind deblurring and denoising use.

Levin et al., CVPR 2009; Koehler et al., ECCV 2012; Lai et al., CVPR 2016; Abdelhamed et al., CVPR 2018 (SIDD) and CVPRW
2020 (NTIRE: SIDD+). Names alone are looked at; of a .mat of many pictures its table of contents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from sipbench.datasets.arrays import Place, sizes
from sipbench.datasets.layouts import SUFFIXES, natural, regular
from sipbench.datasets.measured import ARRAYS
from sipbench.errors import UserError

KERNELS = SUFFIXES | {".npy", ".pt", ".pth", ".safetensors"}


@dataclass(frozen=True)
class Pair:
    """A measurement, its truth, and its kernel where there is one.

    Attributes:
        frames: whether x is many truths, (H, W, C, N), of which the nearest counts.
    """

    name: str
    y: Place
    x: Place
    kernel: Place | None = None
    frames: bool = False


@dataclass(frozen=True)
class Layout:
    """How a release lies on disk.

    Attributes:
        pairs: finds them below a folder, in order; nothing where the folder is none of these.
        holds: what the folder holds, in words.
        grey: whether its pictures have one channel.
        either_way: whether a kernel may lie turned by half a turn: the one that explains y is then taken.
    """

    pairs: Callable[[Path], Iterator[Pair]]
    holds: str
    grey: bool = False
    either_way: bool = False


def own(root: Path) -> Iterator[Pair]:
    """x/NAME and y/NAME, and kernel/NAME where there is such a folder."""
    return _two(root, "y", "x", "kernel")


def levin(root: Path) -> Iterator[Pair]:
    """imNN_flitNN.mat as released (x, y and f in each), or imI_kernelJ_img.png with gt/imI.png and gt/kernelJ.png."""
    for path in _files(root, r"im\d+_flit\d+\.mat"):
        yield Pair(path.stem, Place(path, "y"), Place(path, "x"), Place(path, "f"))
    for path in _files(root, r"im\d+_kernel\d+_img\.png"):
        image, k = path.stem.split("_")[:2]
        yield Pair(path.stem, Place(path), _partner(path, "gt", f"{image}.png"), _partner(path, "gt", f"{k}.png"))


def koehler(root: Path) -> Iterator[Pair]:
    """BlurryI_J.png, and in GroundTruthI_J.mat what the camera could have seen at each point of its way."""
    for path in _files(root, r"Blurry\d+_\d+\.png"):
        name = path.stem.replace("Blurry", "GroundTruth") + ".mat"
        places = [path.parent / name, *_files(root, re.escape(name))]
        truth = next((p for p in places if p.is_file()), None)
        if truth is None:
            raise UserError(f"{path} has no partner {name}: put the release's file below {root.absolute()}.")
        yield Pair(path.stem, Place(path), Place(truth, "GroundTruth"), frames=True)


def lai(root: Path) -> Iterator[Pair]:
    """uniform/NAME_kernel_NN.png with ground_truth/NAME.png and kernel/kernel_NN.png, as in synthetic_dataset."""
    for folder in (root, root / "synthetic_dataset"):
        for path in _files(folder / "uniform", r".+_kernel_\d+\.png"):
            image, number = path.stem.rsplit("_kernel_", 1)
            truth = _partner(folder / "uniform", "ground_truth", f"{image}.png")
            yield Pair(path.stem, Place(path), truth, _partner(folder / "uniform", "kernel", f"kernel_{number}.png"))


def sidd(root: Path) -> Iterator[Pair]:
    """The validation blocks (.mat), folders of crops, or the photographs Data/*/NNNN_NOISY_SRGB_NNN.PNG."""
    yield from _blocks(root, "ValidationNoisyBlocksSrgb", "ValidationGtBlocksSrgb")
    yield from _two(root, "input_crops", "target_crops")
    for path in _files(root, r"\d+_NOISY_SRGB_\d+\.png"):
        yield Pair(path.stem, Place(path), _partner(path, ".", path.name.replace("_NOISY_", "_GT_")))


def ntire(root: Path) -> Iterator[Pair]:
    """The validation set of 2020: siddplus_valid_noisy_srgb and siddplus_valid_gt_srgb, as .mat or as folders."""
    noisy, clean = "siddplus_valid_noisy_srgb", "siddplus_valid_gt_srgb"
    yield from _blocks(root, noisy, clean)
    yield from _two(root, noisy, clean)


def bragg(root: Path) -> Iterator[Pair]:
    """pattern/NAME.npy, intensities, and object/NAME.npy, complex."""
    return _two(root, "pattern", "object")


LAYOUTS: dict[str, Layout] = {
    "folder": Layout(own, "x/NAME and y/NAME, and kernel/NAME where it is known"),
    "levin": Layout(levin, "im05_flit01.mat ... im08_flit08.mat, or im1_kernel1_img.png ... and gt", True, True),
    "koehler": Layout(koehler, "Blurry1_1.png ... Blurry4_12.png and GroundTruth1_1.mat ... GroundTruth4_12.mat"),
    "lai": Layout(lai, "the folders uniform, ground_truth and kernel", either_way=True),
    "sidd": Layout(sidd, "ValidationNoisyBlocksSrgb.mat and ValidationGtBlocksSrgb.mat, input_crops and target_crops"),
    "ntire": Layout(ntire, "siddplus_valid_noisy_srgb and siddplus_valid_gt_srgb, as .mat or as folders of pictures"),
    "bragg": Layout(bragg, "pattern/NAME.npy and object/NAME.npy"),
}


def _two(root: Path, measured: str, true: str, kernels: str = "") -> Iterator[Pair]:
    """Two folders whose files are partners by name, whatever they end in; a third one of kernels, or not."""
    ys, xs = (_stems(root / place, SUFFIXES | ARRAYS) for place in (measured, true))
    ks = _stems(root / kernels, KERNELS) if kernels and (root / kernels).is_dir() else None
    others = {true: xs} | ({kernels: ks} if ks is not None else {})
    for name in sorted({**ys, **xs}, key=natural) if ys else ():
        for place, found in {measured: ys, **others}.items():
            if name not in found:
                here = (ys.get(name) or xs[name]).relative_to(root)
                raise UserError(
                    f"{here} has no partner in {(root / place).absolute()}: one of the same name goes there."
                )
        yield Pair(name, Place(ys[name]), Place(xs[name]), Place(ks[name]) if ks is not None else None)


def _stems(folder: Path, endings: frozenset[str]) -> dict[str, Path]:
    """The files of a folder by their names without the ending; hidden ones are passed over."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.suffix.lower() in endings and not path.name.startswith(".") and regular(path):
            if path.stem in found:
                raise UserError(f"{found[path.stem].name} and {path.name} in {folder.absolute()}: keep one of them.")
            found[path.stem] = path
    return found


def _blocks(root: Path, measured: str, true: str) -> Iterator[Pair]:
    """Two .mat whose arrays are named as they are, (..., H, W, C)."""
    y, x = root / f"{measured}.mat", root / f"{true}.mat"
    if not y.is_file():
        return
    if not x.is_file():
        raise UserError(f"{y.name} has no partner {x.name} in {root.absolute()}.")
    shapes = [sizes(path).get(path.stem, ()) for path in (y, x)]
    if len(shapes[0]) < 4 or shapes[0] != shapes[1]:
        raise UserError(f"{y.name} and {x.name} hold blocks {shapes[0]} and {shapes[1]}, not (..., H, W, 3) alike.")
    for entry in product(*map(range, shapes[0][:-3])):
        number = "_".join(f"{i:04d}" for i in entry)
        yield Pair(number, Place(y, y.stem, entry), Place(x, x.stem, entry))


def _partner(path: Path, folder: str, name: str) -> Place:
    """The file of a name in a folder beside another file."""
    found = path.parent / folder / name
    if not found.is_file():
        raise UserError(f"{path.name} has no partner {found.absolute()}.")
    return Place(found)


def _files(root: Path, pattern: str) -> list[Path]:
    """The files below a folder whose name is of a pattern, upper case or lower, in natural order."""
    named = re.compile(pattern, re.IGNORECASE)
    found = [p for p in root.rglob("*") if named.fullmatch(p.name) and regular(p)] if root.is_dir() else []
    return sorted(found, key=lambda p: natural(p.relative_to(root).as_posix()))
