"""Training images kept as they are: what a method remembers that looks for the nearest of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from torch import nn

from sipbench import configs
from sipbench.bench.lesson import Lesson
from sipbench.operators.unknowns import UNKNOWNS
from sipbench.problem import Rng
from sipbench.safety.text import counted
from sipbench.training.images import Images

AT_ONCE = 64


def remember(lesson: Lesson, report: Callable[[str], None] = print) -> tuple[nn.Module, dict[str, Any]]:
    """The network with the lesson's images stored in it: as many as it says, else as the network is made for.

    The network has an option `count`, and `store(x, begin)` keeps images from place `begin` on.
    """
    began, dataset = time.monotonic(), lesson.split("train")
    count = lesson.images or min(int(lesson.network["count"]), len(dataset))
    images, make = Images(dataset, count, lesson.subset), UNKNOWNS[lesson.unknown]
    network = configs.build(lesson.network | {"count": count})
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        network.store(make(images(numbers), Rng.of(0, "train", numbers)), start)
    report(f"{counted(count, 'image')} stored")
    return network, {"step": 0, "loss": 0.0, "seconds": time.monotonic() - began, "images": count, "of": len(dataset)}
