"""`sipbench import-prior`: a prior of a guided-diffusion checkpoint."""

from __future__ import annotations

from sipbench.cli.words import pairs
from sipbench.errors import UserError

USAGE = "sipbench import-prior FILE [name=NAME out=FOLDER image_size=N keep_sigma=false force=true ...]"
HELP = f"""\
{USAGE}

  FILE                       a checkpoint of the guided-diffusion code, such as ffhq_10m.pt; nothing in it is run
  name=NAME                  the folder that is made inside the folder of weights; a known file has its own
  weights=FOLDER out=FOLDER  another folder of weights, or another place altogether
  image_size=N               of the images it was trained on, where the weights do not tell
  schedule=linear|cosine     of its noise, 1000 steps; head_channels=64 of one attention head
  keep_sigma=false           leave the learned variance out
  force=true                 write over what is there

Example:  sipbench import-prior ffhq_10m.pt, and then sipbench prior=ffhq_256 ...
"""


def main(words: list[str]) -> int:
    """Convert the file, and say how it is used."""
    if not words or "=" in words[0]:
        raise UserError(f"import which file? {USAGE}")
    from sipbench import configs

    options = {"file": words[0], "weights": str(configs.compose([])["weights"])} | pairs(words[1:], USAGE)
    from sipbench.priors.adm import import_prior

    try:
        options = configs.typed(import_prior, options)
    except ValueError as error:
        raise UserError(f"import-prior: {error}") from error
    folder = import_prior(**options)
    print(f"written: {folder}\nto use it: sipbench prior=diffusers prior.path={folder}")
    return 0
