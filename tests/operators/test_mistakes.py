"""What an operator cannot be made of is said in one line, which names what was wrong."""

import pytest
import torch

from sipbench.operators.blind import BlindBlur
from sipbench.operators.blur import Blur
from sipbench.operators.colour import Colorize, Demosaic
from sipbench.operators.compressed import GaussianSensing, HadamardSensing
from sipbench.operators.jpeg import Jpeg
from sipbench.operators.kernel_wizard import NonlinearBlur
from sipbench.operators.lanczos import LanczosDownsampling
from sipbench.operators.mri import MRI, MultiCoilMRI
from sipbench.operators.nonlinear import BlurResponse, HighDynamicRange
from sipbench.operators.phase import FourierMagnitude
from sipbench.operators.phase_diffraction import DiffractionPattern
from sipbench.operators.phase_random import CodedDiffraction, GaussianMagnitude
from sipbench.operators.sampling import (
    AveragePooling,
    BicubicDownsampling,
    BoxInpainting,
    FileInpainting,
    Inpainting,
    LineInpainting,
    TextInpainting,
)
from sipbench.operators.separable import BlurDownsampling
from sipbench.operators.tomography import Tomography
from sipbench.operators.turbulence import Turbulence
from sipbench.problem import Rng
from tests.operators.posing import make

MISTAKES = [
    (BlindBlur, (3, 32, 32), {"size": 64}, "64 x 64 is larger than the image of 32 x 32"),
    (BlindBlur, (3, 32, 32), {"size": None}, "needs the boundary valid, not zero"),
    (BlindBlur, (3, 32, 32), {"size": 8, "support": [0.5, 0.2]}, "support is two parts"),
    (BlindBlur, (3, 32, 32), {"size": 8, "intensity": 2.0}, "intensity of a motion kernel"),
    (Turbulence, (3, 32, 32), {"size": 64}, "larger than the image"),
    (Turbulence, (3, 32, 32), {"size": 8, "patches": 0}, "at least one patch"),
    (Turbulence, (3, 32, 32), {"size": 8, "strength": [0.4, 0.1]}, "strength"),
    (Turbulence, (3, 32, 32), {"size": 8, "limit": -1}, "limit"),
    (Blur, (3, 16, 20), {"kernel": "gaussian", "size": 61}, "61 x 61 is larger than the image of 16 x 20"),
    (Blur, (3, 16, 20), {"kernel": "file", "path": "nowhere.png"}, "no file nowhere.png"),
    (Blur, (3, 16, 20), {"kernel": torch.ones(3, 1, 5, 5)}, r"kernels for 2 images are \(2, 1, kh, kw\)"),
    (Blur, (3, 16, 20), {"kernel": torch.ones(5, 5)}, "kernels for 2 images"),
    (BlurDownsampling, (3, 32, 32), {"factor": 3}, "divisible by 3, not 32 x 32"),
    (BlurDownsampling, (3, 32, 32), {"factor": 0}, "divisible by 0"),
    (BlurDownsampling, (3, 32, 32), {"boundary": "valid"}, "cannot be valid"),
    (BlurDownsampling, (3, 32, 32), {"size": 33}, "larger than the image"),
    (BlurDownsampling, (3, 32, 32), {"sigma": 0.0}, "positive sigma"),
    (Colorize, (1, 8, 8), {}, "3 channels, not 1"),
    (Demosaic, (4, 8, 8), {}, "3 channels, not 4"),
    (GaussianSensing, (3, 8, 8), {"ratio": 0}, "between 0 and 1, not 0"),
    (GaussianSensing, (3, 256, 256), {}, "take degradation=cs_hadamard"),
    (GaussianSensing, (3, 8, 8), {"size": [9, 8]}, "but the images are 8 x 8"),
    (HadamardSensing, (3, 8, 8), {"ratio": 1.0}, "between 0 and 1, not 1.0"),
    (HadamardSensing, (3, 16, 24), {}, "a power of two of pixels, not 16 x 24 = 384"),
    (MRI, (3, 16, 16), {}, "2 channels, real and imaginary, not 3"),
    (MRI, (2, 16, 16), {"acceleration": 1}, "a number above 1, not 1"),
    (MRI, (2, 16, 16), {"centre_fraction": 0.0}, r"lies in \(0, 1\), not 0.0"),
    (MRI, (2, 16, 16), {"centre_fraction": 0.5}, "takes 8, which must be at least one and fewer than the 4"),
    (MRI, (2, 8, 8), {"centre_fraction": 0.04}, "takes 0, which must be at least one"),
    (MultiCoilMRI, (2, 16, 16), {"coils": 0}, "at least one coil, not 0"),
    (HighDynamicRange, (3, 16, 16), {"scale": 1.0}, "scale is above 1"),
    (BlurResponse, (3, 16, 16), {"size": 61}, "larger than the image"),
    (BlurResponse, (3, 16, 16), {"size": 5, "gain": 0.0}, "gain must be positive"),
    (BlurResponse, (3, 16, 16), {"size": 5, "gamma": 1.0}, "gamma is above 1"),
    (Jpeg, (3, 16, 16), {"quality": 0}, "from 1 to 100, not 0"),
    (Jpeg, (3, 16, 16), {"quality": 50.5}, "from 1 to 100, not 50.5"),
    (Jpeg, (2, 16, 16), {}, "one or three channels"),
    (NonlinearBlur, (1, 16, 16), {}, "three channels, not 1"),
    (NonlinearBlur, (3, 16, 16), {"scale": -1.0}, "scale must be zero or positive"),
    (FourierMagnitude, (3, 16, 16), {"oversample": -1.0}, "zero or positive, not -1.0"),
    (DiffractionPattern, (3, 16, 16), {}, "2 channels, real and imaginary, not 3"),
    (DiffractionPattern, (2, 16, 16), {"beamstop": 8}, r"lies in \[0, 8\) pixels, not 8"),
    (DiffractionPattern, (2, 16, 16), {"support": 1.5}, r"lies in \(0, 1\], not 1.5"),
    (DiffractionPattern, (2, 16, 16), {"support": torch.ones(8, 8)}, r"a mask \(16, 16\) or .* not \(8, 8\)"),
    (GaussianMagnitude, (3, 256, 256), {}, "262144 x 65536 are more than .*or phase_cdp"),
    (GaussianMagnitude, (3, 16, 16), {"ratio": 0.0}, "a ratio of 0.0 leaves no measurement"),
    (GaussianMagnitude, (2, 16, 16), {"complex_image": True}, "needs matrix=complex"),
    (GaussianMagnitude, (3, 16, 16), {"complex_image": True, "matrix": "complex"}, "has 2 channels, .* not 3"),
    (CodedDiffraction, (3, 16, 16), {"complex_image": True}, "has 2 channels, .* not 3"),
    (CodedDiffraction, (3, 16, 16), {"patterns": 0}, "at least one pattern is measured, not 0"),
    *((kind, (3, h, w), {"factor": n}, f"x{n} needs a size divisible by {n}, not {h} x {w}")
      for kind in (BicubicDownsampling, AveragePooling) for h, w, n in ((18, 16, 4), (16, 17, 2), (4, 4, 8))),
    (Inpainting, (3, 16, 16), {"removed": 1.0}, "between 0 and 1, not 1.0"),
    (Inpainting, (3, 16, 16), {"removed": 0.0}, "between 0 and 1, not 0.0"),
    (Inpainting, (3, 16, 16), {"removed": -0.1}, "not -0.1"),
    (Inpainting, (3, 16, 16), {"removed": 0.003}, "0.003 is less than one of 256 pixels"),
    (LineInpainting, (3, 16, 16), {"removed": 0.003}, "0.003 is less than one of 256 pixels"),
    (BoxInpainting, (3, 16, 32), {"side": 0.05}, "0.05 is less than a pixel of images of 16 x 32"),
    (BoxInpainting, (3, 16, 16), {"side": 0}, "between 0 and 1, not 0"),
    (BoxInpainting, (3, 16, 16), {"side": 1.0}, "between 0 and 1, not 1.0"),
    (BoxInpainting, (3, 16, 16), {"side": 0.5, "margin": 0.3}, "a margin from 0 to 0.25 of the image, not 0.3"),
    (LineInpainting, (3, 16, 16), {"removed": 1.2}, "not 1.2"),
    (LineInpainting, (3, 16, 16), {"width": 0}, "between 0 and 1, not 0"),
    (TextInpainting, (3, 16, 16), {"height": 0}, "between 0 and 1, not 0"),
    (LanczosDownsampling, (3, 16, 16), {"factor": 3}, "by an even factor, not 3"),
    (LanczosDownsampling, (3, 16, 18), {"factor": 4}, "needs a size divisible by 4, not 16 x 18"),
    (FileInpainting, (3, 16, 16), {"threshold": 1.5}, "not 1.5"),
    (FileInpainting, (3, 16, 16), {"path": "nowhere.png"}, "no mask image nowhere.png"),
    (FileInpainting, (3, 16, 16), {"path": __file__}, "is not an image"),
    (Tomography, (1, 8, 8), {"views": 0}, "one view or more, not 0"),
    (Tomography, (1, 4096, 4096), {"views": 60}, "60 views of 4096 x 4096 pixels are more than"),
    (Tomography, (1, 8, 8), {"span": 0}, "at most 180 degrees"),
    (Tomography, (1, 8, 8), {"span": 270}, "not 270"),
    (Tomography, (1, 8, 8), {"detectors": 0}, "one detector or more"),
    (Tomography, (1, 8, 8), {"size": [8, 9]}, "but the images are 8 x 8"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "shape", "options", "said"), MISTAKES)
def test_a_mistake_is_one_line(kind, shape, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        f, rng = make(kind, (2, *shape), **options), Rng.of(0, "t", range(2))
        f.draw(rng)  # what blind operators leave open is drawn later
    assert "\n" not in str(caught.value)
