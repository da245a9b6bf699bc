"""A clock that stands still unless it is told to go."""


class Clock:
    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now

    monotonic = perf_counter

    def tick(self, seconds):
        self.now += seconds


CLOCK = Clock()
