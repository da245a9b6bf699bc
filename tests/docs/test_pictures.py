"""Pictures of docs/ hold the hashes of what they were made of: the files that are committed now."""

import hashlib
import json

import pytest
from PIL import Image

from tests.docs.commands import ROOT
from tests.docs.figures import shown


def sources(path):
    """What a picture says that it was made of; nothing where it was not made so."""
    with Image.open(path) as picture:
        return json.loads(picture.info.get("made of", "{}"))


MADE = [(path, made) for path in sorted((ROOT / "docs" / "assets").glob("*.png")) if (made := sources(path))]


def test_there_are_some():
    assert {path.stem for path, _ in MADE} >= {"plane", "strip", "datarich", "diffusion", "single"}


@pytest.mark.parametrize(("picture", "made"), MADE, ids=lambda value: getattr(value, "stem", ""))
def test_it_is_made_of_what_is_committed(picture, made):
    now = {file: hashlib.sha256(shown(file)).hexdigest() for file in made}
    assert now == made, "made of older files: .venv/bin/python .ci/pictures.py"
