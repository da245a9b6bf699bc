"""The documentation names what there is."""

from pathlib import Path

import pytest

from sipbench import noise
from tests import listed

TEXT = (Path(__file__).parents[1] / "docs" / "degradations.md").read_text(encoding="utf-8")
MODELS = [
    n
    for n, c in vars(noise).items()
    if isinstance(c, type) and issubclass(c, noise.Model) and c not in (noise.Model, noise.Intensity)
]


@pytest.mark.parametrize("name", [*listed.DEGRADATIONS, *MODELS])
def test_the_list_of_degradations_is_whole(name):
    assert f"`{name}`" in TEXT
