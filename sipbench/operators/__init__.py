"""Forward maps f, one file per physics."""

from sipbench.operators.base import SVD, LinearOperator, Operator
from sipbench.operators.sampling import BicubicDownsampling, Inpainting

__all__ = ["SVD", "BicubicDownsampling", "Inpainting", "LinearOperator", "Operator"]
