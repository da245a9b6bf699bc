"""One method at one batch size on one setting of the networks: what benchmarks/gpu.py measures."""

import inspect
import math
import time
from dataclasses import asdict, dataclass, replace

import torch
from bare import passes, seconds

from baselines.diffusion.resample import fit
from baselines.single.hourglass import Hourglass
from sipbench import configs, device
from sipbench.bench.cell import Cell
from sipbench.bench.watch import PeakMemory
from sipbench.metrics import psnr
from sipbench.priors.load import diffusers_prior
from sipbench.problem import Estimate

SHORT = {  # few steps of each; ReSample fits its pixels once and its code at the end
    "dps": {"steps": 6},
    "ddrm": {"steps": 8},
    "diffpir": {"steps": 8},
    "daps": {"steps": 3},
    "dmplug": {"iterations": 4},
    "resample": {"steps": 12, "interval": 5, "pixel_iterations": 4, "latent_iterations": 4},
    "dip": {"iterations": 6},
}
FIRST_THIRD = 6  # steps of ReSample's before it fits
REPEATS = 4


@dataclass(frozen=True)
class Setting:
    """How networks run: float32, tf32 or bfloat16; contiguous or channels_last; compiled or not."""

    precision: str
    layout: str = "contiguous"
    compile: bool = False

    @property
    def name(self):
        return "-".join([self.precision, self.layout, *(["compiled"] if self.compile else [])])

    @property
    def options(self):
        """Of a prior."""
        precision = "bfloat16" if self.precision == "bfloat16" else "float32"
        return {"precision": precision, "channels_last": self.layout == "channels_last", "compile": self.compile}

    def switch(self):
        """Whether products of single precision are rounded to TF32 first."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = self.precision != "float32"


SETTINGS = (
    Setting("float32"),
    Setting("tf32"),
    Setting("bfloat16"),
    Setting("bfloat16", "channels_last"),
    Setting("tf32", "channels_last"),
    Setting("bfloat16", "channels_last", True),
    Setting("tf32", "contiguous", True),
)


@dataclass
class Row:
    """A line of the CSV."""

    method: str
    part: str
    batch: int
    ms_a_step: float = math.nan
    images_a_second: float = math.nan
    of_bare: float = math.nan
    peak_MiB: float = math.nan
    shift_dB: float = math.nan
    note: str = ""

    def cells(self):
        return {
            k: v if isinstance(v, str | int) else "" if math.isnan(v) else f"{v:.5g}" for k, v in asdict(self).items()
        }


class Steps:
    """Watches a solver: the seconds from its second step to its end, or to the step `last`."""

    def __init__(self, at, last=None):
        self.at, self.last = at, last
        self.began = self.ended = None

    def _now(self):
        device.wait(self.at)
        return time.perf_counter()

    def step(self, k, n):
        self.n = n
        if k == 1:
            self.began = self._now()
        if k == self.last:
            self.ended = self._now()
        return True

    def show(self, x_hat, loss):
        pass

    def each(self):
        """Seconds a step."""
        self.ended = self.ended or self._now()
        return (self.ended - self.began) / ((self.last or self.n) - 1)


class Trial:
    """One setting: its networks, and what was measured of them."""

    def __init__(self, setting, posed, weights, at, shared):
        self.setting, self.posed, self.at, self.shared = setting, posed, at, shared
        setting.switch()
        torch.compiler.reset()
        load = {"weights": weights, "device": at, **setting.options}
        self.priors = {"pixel": diffusers_prior("ffhq-256", **load), "latent": diffusers_prior("ldm", **load)}
        self.known = {}

    def bare(self, what, batch):
        """Seconds of a pass through a network: pixel, latent, with_gradient, or decoder."""
        if (what, batch) not in self.known:
            run = self._pass(what, batch)
            run(2)
            self.known[what, batch] = seconds(lambda: run(REPEATS), self.at) / REPEATS
        return self.known[what, batch]

    def _pass(self, what, batch):
        kind = "latent" if what in ("latent", "decoder") else "pixel"
        prior = self.priors[kind]
        dtype = next(getattr(prior, "inner", prior).network.parameters()).dtype
        x = torch.randn((batch, *prior.shape), generator=torch.Generator().manual_seed(0)).to(self.at, dtype)
        if what == "decoder":
            return lambda n: passes(lambda z, _: self._decoded(z), x, n, backward=True)
        network = prior.inner.network if kind == "latent" else prior.network
        return lambda n: passes(network, x, n, backward=what == "with_gradient")

    def _decoded(self, z):
        return self.priors["latent"].codec.network.decode(z)

    def untrained(self, batch, options):
        """Seconds of a pass through DIP's networks, with the gradients of their parameters."""
        names = ("input_channels", "channels", "skip", "upsample", "kernel", "downsample", "up_1x1")
        sizes = {name: options[name] for name in names}
        channels, size = sizes["input_channels"], self.posed.shape[2:]
        G = Hourglass(
            self.posed.rng.select(slice(batch)).child("bare").portable, sizes.pop("input_channels"), 3, **sizes
        )
        z = torch.rand((batch, channels, *size), generator=torch.Generator().manual_seed(0)).to(self.at)

        def run(n):
            for _ in range(n):
                out = G(z)
                torch.autograd.grad(out, list(G.parameters()), out)

        run(1)
        return seconds(lambda: run(REPEATS), self.at) / REPEATS

    def rows(self, method, batch):
        """What is measured of a method at a batch size."""
        solver, options = options_of(method, self.posed.shape[-1])
        problem = replace(
            self.posed.select(slice(batch)), prior=self.priors["latent" if method == "resample" else "pixel"]
        )
        steps = Steps(self.at, FIRST_THIRD if method == "resample" else None)
        expected = self.expected(method, batch, options)
        memory = PeakMemory(self.at)
        made = solver(replace(problem, rng=problem.rng.child("solver"), _watch=steps), **options | SHORT[method])
        each = steps.each()
        row = Row(method, "step", batch, ms_a_step=1e3 * each, of_bare=expected / each, peak_MiB=memory.read())
        row.shift_dB = self.shift(method, batch, made.x if isinstance(made, Estimate) else made)
        whole = options[next(iter(SHORT[method]))] * each
        others = []
        if method == "resample":
            others, fitted = self.fits(problem, options, batch)
            whole += fitted
        row.images_a_second = batch / whole
        return [row, *others]

    def expected(self, method, batch, options):
        """Seconds of the bare networks that a step cannot do without."""
        if method == "dip":
            return self.untrained(batch, options)
        if method == "resample":
            return self.bare("latent", batch) + self.bare("decoder", batch)
        what = "with_gradient" if method in ("dps", "dmplug") else "pixel"
        passes = {"daps": "ode_steps", "dmplug": "steps"}
        return self.bare(what, batch) * (options[passes[method]] if method in passes else 1)

    def fits(self, problem, options, batch):
        """Rows of ReSample's fits, and the seconds of all that a published run has, with the steps before each."""
        prior, y, f = problem.prior, problem.y, problem.f
        state = torch.zeros((batch, *prior.shape), device=self.at)
        decoded = prior.decode(state).detach()
        rows, each = [], {}
        for part, start, image in (("pixel fit", decoded, lambda x: x), ("latent fit", state, prior.decode)):

            def run(n, start=start, image=image):
                fit(start, lambda v: (y - f(image(v))).square().flatten(1).mean(1), options["latent_lr"], n, 0.0)

            run(2)
            each[part] = seconds(lambda run=run: run(REPEATS), self.at) / REPEATS
            bare = self.bare("decoder", batch) if part == "latent fit" else math.nan
            rows.append(Row("resample", part, batch, 1e3 * each[part], of_bare=bare / each[part]))
        steps = options["steps"]
        places = range(options["interval"], steps - steps // 3 + 1, options["interval"])
        in_pixels = sum(i >= steps // 3 for i in places)
        total = in_pixels * options["pixel_iterations"] * each["pixel fit"]
        total += (len(places) - in_pixels + 1) * options["latent_iterations"] * each["latent fit"]
        return rows, total + len(places) * options["travel"] * self.bare("latent", batch)

    def shift(self, method, batch, x):
        """How far the first images are from those of float32 with the same draws, in dB of [-1, 1]."""
        x = x[:4].float().clamp(-1, 1).cpu()
        reference = self.shared.setdefault((method, batch), x)
        return math.nan if reference is x else float(psnr(x, reference).mean())


def options_of(method, size):
    """The solver and its settings in profile=paper, with the defaults that its signature has."""
    words = ["profile=paper", f"method={method}", "degradation=inpaint70"]
    cell = Cell.of(configs.compose(words), words)
    defaults = {k: p.default for k, p in inspect.signature(cell.solver).parameters.items() if k != "problem"}
    options = defaults | configs.built(cell.options)
    if method == "dip" and size < 256:
        options |= {"channels": (16,) * 3, "skip": (4,) * 3}
    return cell.solver, options


def streams(posed, batch, at):
    """A row of the random streams: a draw of one an image, beside one draw of the whole batch."""
    rng, shape = posed.rng.select(slice(batch)).child("streams"), posed.shape[1:]
    at_once = torch.Generator(at).manual_seed(0)

    def own(n):
        for _ in range(n):
            rng.normal(*shape)

    def whole(n):
        for _ in range(n):
            torch.randn((batch, *shape), generator=at_once, device=at)

    own(2), whole(2)
    taken, least = (seconds(lambda run=run: run(20), at) / 20 for run in (own, whole))
    return Row("streams", "draw", batch, ms_a_step=1e3 * taken, of_bare=least / taken)
