"""The command line: its first word names a command, whose file is imported only then. Help and lists answer at once."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import FrameType

from sipbench.errors import UserError, unknown
from sipbench.safety.text import visible

HELP = """\
sipbench: an honest benchmark of deep learning for inverse problems

  sipbench dataset=faces degradation=sr4 method=dps       run one cell (what is done is not done again)
  sipbench -m degradation=sr4,inpaint70 method=dip,dps    run many; +launcher=local or +launcher=slurm for a cluster
  sipbench method=mine.py:solve                           run a solver of your own

  sipbench table table1 [profile=paper]     compute what a table lacks, print and write it
  sipbench table posterior                  how near each diffusion solver's draws are to posteriors known exactly
  sipbench report [table1 ...]              one HTML file of tables, curves and pictures that opens from disk
  sipbench leaderboard A B [table=table1]   check results that others hand in, score them here and compare them
  sipbench submit table1 +launcher=slurm    send workers to a cluster, or start some here; no process has to stay behind
  sipbench work table1                      be a worker: do what is missing beside others, until nothing is left
  sipbench status [table1]                  what is done, running, failed and missing, from any machine, at any time
  sipbench merge A B [into=C]               check two results folders and join them
  sipbench clean                            show what no table and no sweep asks for, and remove it with --yes
  sipbench score method=dps metrics=[ssim]  compute scores that stored results lack; nothing is solved again
  sipbench show degradation=deblur_motion   write a picture: truth, measurement, A⁺y; with method=NAME what is stored
  sipbench export method=dps out=FOLDER     stored reconstructions and kernels as PNG, .npy or .safetensors
  sipbench compare A.png B.png [--json]     two image files, by every metric
  sipbench measure degradation=mri out=DIR  save measurements; solve them later with dataset=measured dataset.root=DIR
  sipbench list WHAT [--json]               methods, degradations, noises, datasets, priors, probes, tables, ...
  sipbench check mine.py:solve              the contract tests, on a solver of yours or on a method's name
  sipbench new method my_idea               a method, degradation, dataset, metric or table to start from
  sipbench fetch [lpips|NAME|table1 ...]    get checkpoints and data, or be told what is left to do by hand
  sipbench doctor [TABLE]                   what is installed, present and missing here, and what to do about it
  sipbench tune method=dps degradation=sr4  choose a solver's options on validation images
  sipbench train prior dataset=faces        train a diffusion prior; objective=flow or edm, codec=NAME for latents
  sipbench train autoencoder dataset=faces  train an autoencoder, for a prior of its codes
  sipbench train net degradation=sr4        train an end-to-end network on pairs
  sipbench import-prior FILE [name=NAME]    make a prior of a guided-diffusion checkpoint such as ffhq_10m.pt

Each says more with --help. Common options, for any of them (key=value, no dashes):
  size=64 images=8 images=[0,5,9] seed=0 batch_size=8 device=auto profile=demo tuned=true results=results
  method.solver.NAME=VALUE      an option of the solver, under the paper's name
  wandb.mode=offline            disabled, offline or online
  --cfg job                     show the composed config and stop
"""

COMMANDS = (
    *("list", "table", "report", "leaderboard", "score", "show", "export", "compare", "measure", "check", "new"),
    *("submit", "work", "status", "merge", "clean"),
    *("fetch", "doctor", "tune", "train", "import-prior"),
)
PLACES = ("results=", "data=", "weights=", "into=")
ENVIRONMENT = ("SIPBENCH_RESULTS", "SIPBENCH_DATA", "SIPBENCH_WEIGHTS")
FULL = "nothing more can be written"
MEMORY = (
    "this asks for more memory than there is: a smaller size= or batch_size=, or a smaller number of what was typed"
)
ASKS = ("-h", "--help")


def main(argv: list[str] | None = None) -> int:
    """Run a command; a mistake of the user's is one line and exit code 2."""
    words = [_at_home(word) for word in (sys.argv[1:] if argv is None else argv)]
    os.environ |= {name: os.path.expanduser(os.environ[name]) for name in ENVIRONMENT if name in os.environ}
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without such a sign, a path in no encoding
    try:
        _named(words)
        with ended_as_interrupted():
            return _dispatch(words)
    except UserError as error:
        print(f"sipbench: {visible(error)}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; what was finished is kept: run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (RuntimeError, MemoryError) as error:
        from sipbench.device import out_of_memory

        if not out_of_memory(error):
            raise
        print(f"sipbench: {MEMORY}", file=sys.stderr)
        return 2
    except OSError as error:  # of a place that was named: too long, not to be read, gone meanwhile
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"sipbench: {visible(error.filename or FULL)}: {error.strerror}", file=sys.stderr)
        return 2


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in (*ASKS, "help"):
        print(HELP, end="")
        return 0
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"sipbench {version('sipbench')}")
        return 0
    command, rest = ("sweep", words) if _is_option(words[0]) else (words[0], words[1:])
    if command != "sweep" and command not in COMMANDS:
        raise unknown("command", command, COMMANDS)
    _somewhere()
    module = import_module(f"sipbench.cli.{command.replace('-', '_')}")
    if any(word in ASKS for word in rest):
        print(module.HELP, end="")
        return 0
    return module.main(rest)


@contextmanager
def ended_as_interrupted() -> Iterator[None]:
    """SIGTERM, by which queues, time limits and `kill` end a process, is as Ctrl-C: what others wait for is let go.

    So is SIGHUP, by which a terminal that is closed does, but not under nohup.
    """

    def handle(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = [signal.SIGTERM, *([signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else [])]
    before = {number: signal.signal(number, handle) for number in ending}
    try:
        yield
    finally:
        for number, does in before.items():
            signal.signal(number, does)


def _at_home(word: str) -> str:
    """`key=~/place` with the home folder in the place of ~, as some shells have it and others do not."""
    key, equals, value = word.partition("=")
    home = equals and (value == "~" or value.startswith("~/"))
    return f"{key}={os.path.expanduser(value)}" if home else word


def _named(words: list[str]) -> None:
    """Refuse a folder without a name, as of a variable of the shell that is empty: it would be the one we are in."""
    for word in words:
        if word in PLACES:
            raise UserError(f"{word} names nothing: say which folder, or leave it out")
    for name in ENVIRONMENT:
        if os.environ.get(name) == "":
            raise UserError(f"{name} names nothing: say which folder, or unset {name}")


def _somewhere() -> None:
    """Refuse to work in a folder that was removed: torch itself ends the process there."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise UserError("the folder that this runs in was removed: go to another one, cd ~") from error


def _is_option(word: str) -> bool:
    """Whether it is key=value or a flag, as the words of a cell are."""
    return "=" in word or word.startswith(("-", "+", "~"))


if __name__ == "__main__":
    sys.exit(main())
