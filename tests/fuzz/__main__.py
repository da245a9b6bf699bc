"""`python -m tests.fuzz [count=10000] [seed=0|random] [only=NUMBER]`: mutated inputs; exit code 1 if any goes wrong."""

import faulthandler
import random
import resource
import sys
import tempfile
import time
from pathlib import Path

import torch

from tests.fuzz.run import fuzz, report

SPACE = 24 * 2**30  # bytes of addresses, most of them of libraries: what wants more than is there fails here


def main(words):
    said = {"count": "10000", "seed": "0", "only": ""} | dict(word.split("=", 1) for word in words)
    seed = random.randrange(10**6) if said["seed"] == "random" else int(said["seed"])
    print(f"seed {seed}", flush=True)
    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_AS, (SPACE, SPACE))
    faulthandler.enable()
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        outcome = fuzz(Path(folder), int(said["count"]), seed, int(said["only"]) if said["only"] else None)
    report(outcome, seed, began)
    return int(bool(outcome.wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
