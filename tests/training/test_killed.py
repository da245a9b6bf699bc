"""A training that is killed again and again ends in the same bits, and never reads half a file."""

import multiprocessing
import os
import random
import signal
import time

import torch

from sipbench import checkpoints
from tests.training.test_train import train

WORDS = [
    "degradation=inpaint70",
    "method.networks.net.width=8",
    "method.networks.net.levels=1",
    "schedule.save_every=2",
]
WORDS += ["schedule.validate_every=5", "validation=2", "schedule.batch_size=1"]
STEPS, KILLS = 40, 20


def _run(folder):
    torch.set_num_threads(1)
    train("net", folder, STEPS, *WORDS)
    os._exit(0)


def test_killed_at_random_it_ends_in_the_same_bits(tmp_path):
    whole = train("net", tmp_path / "whole", STEPS, *WORDS)
    dice, kills, fork = random.Random(0), 0, multiprocessing.get_context("fork")
    folder = tmp_path / "killed"
    while kills < KILLS:
        process = fork.Process(target=_run, args=(folder,))
        process.start()
        time.sleep(dice.uniform(0.02, 0.4))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        for half in folder.rglob("*.tmp"):
            half.write_bytes(b"half")
    killed = train("net", folder, STEPS, *WORDS)
    one, other = (checkpoints.load_state(checkpoints.weight_file(place)) for place in (whole, killed))
    assert one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)
