"""`sipbench train`: a prior, an autoencoder or an end-to-end network, from the training split of a dataset."""

from __future__ import annotations

from typing import Any

from sipbench.errors import UserError

HELP = """\
sipbench train prior|autoencoder|net [key=value ...]     train, and lay the network down as a folder of weights

  prior          a diffusion prior: objective=diffusion, flow or edm; codec=NAME network=diffusion_latent for codes
  autoencoder    an autoencoder, for a prior of its codes: kl= edges=
  net            a method's network: method=NAME, through its solver: degradation=NAME error=l1|rms

  images=N subset=K                  of net: so many of the training images, and which; a cell trains for itself with
                                     recipe=NAME recipe.images=N (docs/methods.md, Training)
  dataset=NAME size=64 name=NAME     what it learns from, its training split alone, and what it is called
  schedule.steps= schedule.batch_size= schedule.lr= schedule.precision= schedule.save_every=     how long and how fast
  init=NAME                          start from the weights of this checkpoint
  weights=FOLDER results=FOLDER      where the trained folder goes, and where the run is kept until it is done

A run that was stopped goes on where it was saved; Ctrl-C saves it first. It goes on with what it began with: only its
length, how often it is saved and error= may change.

Example:  sipbench train net dataset=faces degradation=sr4 schedule.steps=4000
"""
KINDS = ("prior", "autoencoder", "net")


def main(words: list[str]) -> int:
    """Train what the first word names."""
    if not words or words[0] not in KINDS:
        raise UserError(f"train what? sipbench train {'|'.join(KINDS)} [key=value ...]")
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from sipbench import configs
    from sipbench.bench import validate
    from sipbench.bench.options import typed

    try:
        composed = configs.compose(words[1:], f"train_{words[0]}")
        if words[0] == "net":
            _made_here(OmegaConf.to_container(composed["method"]))
        cfg = OmegaConf.to_container(composed, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(" ".join(str(error).split())) from error
    assert isinstance(cfg, dict)
    if words[0] == "net":
        cfg["typed"] = typed(cfg["method"].get("solver", {}), configs.Overrides(words[1:]).leaves)  # pyright: ignore
    validate.shared(cfg)  # pyright: ignore
    validate.plain_name(cfg.get("name"))
    cfg |= validate.places(cfg)  # pyright: ignore
    from sipbench.training.recipes import TRAINEES

    TRAINEES[words[0]](cfg)  # pyright: ignore
    return 0


def _made_here(method: Any) -> None:
    """Refuse a method whose network comes as a file of somebody else's."""
    if any("path" in node for node in (method.get("networks") or {}).values()):
        name = method["name"]
        raise UserError(f"{name} is a network made elsewhere, which is not trained here: sipbench fetch {name}")
