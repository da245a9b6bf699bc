"""Operators with settings that conf/degradation does not list: the contract runs over them too."""

from dataclasses import dataclass, field
from typing import Any

import torch

from sipbench.operators import Operator
from sipbench.operators.blind import BlindBlur
from sipbench.operators.blur import Blur
from sipbench.operators.colour import Colorize, Demosaic
from sipbench.operators.compressed import GaussianSensing, HadamardSensing
from sipbench.operators.convolution import BOUNDARIES
from sipbench.operators.mri import MRI, MultiCoilMRI
from sipbench.operators.phase import FourierMagnitude, PhaseRetrieval
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.operators.phase_random import CodedDiffraction, GaussianMagnitude
from sipbench.operators.sampling import AveragePooling
from sipbench.operators.separable import BlurDownsampling, GaussianBlur
from sipbench.operators.tomography import Tomography
from tests import listed

SIZES = ((16, 16), (17, 14))
COLOUR_SIZES = (*SIZES, (5, 4))
TOMOGRAPHY_SIZES = ((16, 16), (17, 15), (24, 16), (33, 32), (64, 61))
PHASE_SIZES = ((16, 16), (17, 20), (24, 15), (13, 31))
SQUARE = (GaussianMagnitude, GaussianSensing, HadamardSensing, Tomography)  # y does not tell the sides of x
KERNELS = {(16, 16): (5, 5), (17, 14): (4, 7), (15, 32): (6, 4), (9, 11): (9, 3), (33, 47): (21, 8)}


@dataclass(frozen=True)
class Variant:
    """A class of operators with its settings, the channels and the sizes it is tried with.

    `asymmetric` gives each image a kernel with no symmetry at all; `tells` says
    whether the shape of y tells that of x.
    """

    kind: type[Operator]
    channels: tuple[int, ...] = (1, 3)
    options: dict[str, Any] = field(default_factory=dict)
    sizes: tuple[tuple[int, int], ...] = SIZES
    asymmetric: bool = False
    tells: bool = True

    def build(self, shape, rng):
        own = {}
        if self.asymmetric:
            own["kernel"] = rng.child("k").portable.uniform(1, *KERNELS.get(shape[2:], (4, 3)), dtype=torch.float64)
        try:
            return self.kind(shape, rng.portable, **self.options, **own)
        except ValueError:
            return None


def _blur(boundary):
    return Variant(Blur, (1, 3), {"boundary": boundary}, tuple(KERNELS), True, boundary != "valid")


def _phase(kind, channels, **options):
    return Variant(kind, (channels,), options, PHASE_SIZES)


VARIANTS = {
    **{f"blur {b}": _blur(b) for b in BOUNDARIES},
    **{f"gaussian {b}": Variant(GaussianBlur, options={"size": 8, "sigma": 1.0, "boundary": b}) for b in BOUNDARIES},
    **{f"decimation {b}": Variant(BlurDownsampling, (1, 3), {"factor": 2, "size": 6, "sigma": 1.0, "boundary": b},
                                  ((16, 16), (24, 14))) for b in BOUNDARIES if b != "valid"},
    "average of one": Variant(AveragePooling, options={"factor": 1}, sizes=(*SIZES, (6, 10))),
    "average x3": Variant(AveragePooling, options={"factor": 3}, sizes=((15, 9), (9, 9))),
    "average x8": Variant(AveragePooling, options={"factor": 8}, sizes=((8, 8), (16, 24))),
    "colour mean": Variant(Colorize, (3,), {"weights": "mean"}, COLOUR_SIZES),
    "colour rec601": Variant(Colorize, (3,), {"weights": "rec601"}, COLOUR_SIZES),
    "bayer GBRG": Variant(Demosaic, (3,), {"pattern": "GBRG"}, COLOUR_SIZES),
    **{f"sensing {r}": Variant(GaussianSensing, (1, 3), {"ratio": r}, ((7, 9), (15, 17), (8, 8)))
       for r in (0.1, 0.4, 0.95)},
    "hadamard 0.4": Variant(HadamardSensing, (1, 3), {"ratio": 0.4}, ((16, 16), (16, 32), (8, 8))),
    "mri wide middle": Variant(MRI, (2,), {"centre_fraction": 0.1}, PHASE_SIZES[:3]),
    "mri coils": Variant(MultiCoilMRI, (2,), {"centre_fraction": 0.1}, PHASE_SIZES),
    "tomography": Variant(Tomography, options={"views": 12}, sizes=TOMOGRAPHY_SIZES),
    "tomography limited": Variant(
        Tomography, options={"views": 7, "span": 120, "start": 10, "detectors": 11}, sizes=TOMOGRAPHY_SIZES, tells=False
    ),
    "blind 8": Variant(BlindBlur, options={"size": 8}, sizes=(*SIZES, (17, 15))),
    "blind of any size": Variant(BlindBlur, (1, 3), {"size": None, "boundary": "valid"}, ((33, 20),)),
    "fourier": _phase(FourierMagnitude, 3),
    "fourier_unit": _phase(FourierMagnitude, 3, domain="unit"),
    "fourier_intensity": _phase(FourierMagnitude, 1, measure="intensity", oversample=3.0),
    "fourier_unpadded": _phase(FourierMagnitude, 1, oversample=0.0),
    "bragg": _phase(DiffractionPattern, 2),
    "bragg_box": _phase(DiffractionPattern, 2, measure="magnitude", support=0.5, beamstop=2.5),
    "gaussian": _phase(GaussianMagnitude, 3),
    "gaussian_complex": _phase(GaussianMagnitude, 1, matrix="complex", measure="intensity"),
    "gaussian_field": _phase(GaussianMagnitude, 2, matrix="complex", complex_image=True),
    "gaussian_stacked": Variant(GaussianMagnitude, (1, 3), {"matrix": "complex", "complex_image": "stacked"},
                                ((2, 5), (8, 7), (16, 16)), tells=False),
    "cdp": _phase(CodedDiffraction, 3, patterns=3),
    "cdp_field": _phase(CodedDiffraction, 2, code="uniform", measure="intensity", complex_image=True),
}  # fmt: skip
STACKED = "gaussian_stacked"  # its sides are even
PHASE = [name for name, v in VARIANTS.items() if issubclass(v.kind, PhaseRetrieval) and name != STACKED]


def kind(name):
    return VARIANTS[name].kind if name in VARIANTS else listed.kind(name)


def channels(name):
    return VARIANTS[name].channels if name in VARIANTS else listed.channels(name)


def build(name, shape, rng):
    """The operator for images of a shape; None where it does not take that shape."""
    return VARIANTS[name].build(shape, rng) if name in VARIANTS else listed.build(name, shape, rng)


def sizes(name, usual):
    return VARIANTS[name].sizes if name in VARIANTS else usual


def told_sizes(name):
    """The sizes that the shape of y tells."""
    if name not in VARIANTS or VARIANTS[name].kind in SQUARE:
        return [(16, 16), (32, 32)] if name not in VARIANTS else [(8, 8), (16, 16)]
    return VARIANTS[name].sizes if VARIANTS[name].tells else []


def shape_of(name, y_shape):
    """The shape of x from that of y."""
    if name in VARIANTS:
        return VARIANTS[name].kind.unknown_shape(y_shape, **VARIANTS[name].options)
    return listed.degradation(name).shape_of(y_shape)
