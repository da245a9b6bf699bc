"""A process of a worker that sleeps, and listens to nothing."""

import time


def main(parent, pipe, *words):
    time.sleep(9)
