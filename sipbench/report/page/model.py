"""What a page shows, as plain data. Numbers that are not known are NaN here and null in the file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

NAN = float("nan")


@dataclass(frozen=True)
class Measure:
    """A column of scores. `better` is higher, lower or empty; `cost` is what a run takes, which nobody is ranked by."""

    key: str
    title: str
    places: int
    better: str = ""
    cost: bool = False


@dataclass(frozen=True)
class Problem:
    key: str
    dataset: str
    degradation: str
    title: str
    dataset_title: str


@dataclass(frozen=True)
class Method:
    """A row: `data` is what it was trained on, `told` what its solver or its training is told."""

    key: str
    title: str
    family: str
    data: str
    told: str
    citation: str = ""
    parity: str = ""


@dataclass(frozen=True)
class Score:
    """A mean over images, its interval, and the paired difference to the best with its own.

    Attributes:
        best: whether it is in the group that the images cannot separate from the best.
        oracle: of the best along the way, picked with the truth in hand.
        published: by others, by the dataset that they are about.
    """

    mean: float = NAN
    low: float = NAN
    high: float = NAN
    best: bool = False
    difference_low: float = NAN
    difference_high: float = NAN
    p: float = NAN
    oracle: float = NAN
    published: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """A method on a problem: its scores by measure, how far it is, and the keys of its cells, one a seed."""

    problem: str
    method: str
    status: str
    reason: str
    n: int
    failed: int
    todo: int
    unconverged: int
    origins: str
    scores: Mapping[str, Score]
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Option:
    """An option of a solver, where its value comes from, and the command that chose it where one did."""

    name: str
    value: str
    origin: str
    chosen: str = ""


@dataclass(frozen=True)
class Weight:
    part: str
    file: str
    sha256: str


@dataclass(frozen=True)
class Run:
    """An image of a cell: `y` is the hash of its measurement, the same for all methods."""

    image: str
    status: str
    reason: str
    y: str
    seconds: float


@dataclass(frozen=True)
class Cell:
    """All it takes to repeat a cell.

    Attributes:
        command: what computes it.
        note: why the command may give another cell, or what is not known of this one.
        facts: further names and values, in order: hashes, device, versions.
    """

    key: str
    label: str
    command: str
    note: str = ""
    options: tuple[Option, ...] = ()
    weights: tuple[Weight, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    runs: tuple[Run, ...] = ()


@dataclass(frozen=True)
class Line:
    """A curve: (x, y, low, high) a point. `level` is drawn across, as of what trains nothing."""

    title: str
    family: str
    points: tuple[tuple[float, float, float, float], ...]
    level: bool = False


@dataclass(frozen=True)
class Mark:
    """A point beside the curves: `returned` is what counts, `oracle` was picked with the truth in hand."""

    title: str
    family: str
    x: float
    y: float
    kind: str


@dataclass(frozen=True)
class Chart:
    """Curves of one problem. `reference` is a value of y that is drawn as a line, such as a residual of 1."""

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    marks: tuple[Mark, ...] = ()
    log_x: bool = False
    log_y: bool = False
    reference: float = NAN


@dataclass(frozen=True)
class Against:
    """A row minus a column over the same images."""

    mean: float
    wins: int
    ties: int
    losses: int
    p: float


@dataclass(frozen=True)
class Matrix:
    """Every method against every other: `entries` row by row, None on the diagonal."""

    problem: str
    measure: str
    images: int
    methods: tuple[str, ...]
    entries: tuple[tuple[Against | None, ...], ...]


@dataclass(frozen=True)
class Sprite:
    """Pictures of one size, one for each image of a gallery: data URIs, empty where there is none."""

    width: int
    height: int
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """The pictures of a problem.

    Attributes:
        images: the names of those that are pictured.
        of: how many there are.
        values: by measure and method, one an image; NaN where there is none.
        truth, measurement: sprites; a real measurement has no truth.
        estimates, residuals, kernels: sprites by method.
        span: the residual, in `unit`, that is drawn in the last colour; black is 0.
        reduced: how the pictures were made smaller, or nothing.
    """

    problem: str
    images: tuple[str, ...]
    of: int
    values: Mapping[str, Mapping[str, tuple[float, ...]]]
    truth: Sprite | None
    measurement: Sprite | None
    estimates: Mapping[str, Sprite]
    residuals: Mapping[str, Sprite]
    kernels: Mapping[str, Sprite]
    span: float
    unit: str
    reduced: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the benchmark under one profile. `published` says where published numbers are from."""

    name: str
    profile: str
    title: str
    source: str
    measures: tuple[Measure, ...]
    problems: tuple[Problem, ...]
    methods: tuple[Method, ...]
    entries: tuple[Entry, ...]
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    charts: tuple[Chart, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    galleries: tuple[Gallery, ...] = ()
    published: str = ""
    kind: str = "table"

    @property
    def key(self) -> str:
        return f"{self.name}-{self.profile}"


@dataclass(frozen=True)
class Listing:
    """A file of numbers that has columns of its own."""

    name: str
    profile: str
    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    charts: tuple[Chart, ...] = ()
    kind: str = "listing"

    @property
    def key(self) -> str:
        return f"{self.name}-{self.profile}"


Section = Table | Listing


@dataclass(frozen=True)
class Page:
    """All of it.

    Attributes:
        made: with what it was made.
        colours: of the families.
        cells: by key, those that any section's entries name.
    """

    title: str
    made: str
    sections: tuple[Section, ...]
    colours: Mapping[str, str]
    cells: Mapping[str, Cell] = field(default_factory=dict)
