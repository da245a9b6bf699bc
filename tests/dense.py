"""Linear maps written out."""

import torch


def matrix(f, shape):
    """The matrix of a linear map of images of a shape (C, H, W), column by column, in double precision."""
    eye = torch.eye(torch.Size(shape).numel(), dtype=torch.float64)
    return torch.stack([f(e.view(1, *shape)).flatten() for e in eye], 1)
