"""Training of priors and of networks: one resumable loop for both.

A run is a folder: `state.pt` (weights, their moving average, optimiser, step; written atomically), `log.csv` and
sheets of pictures. Step k always sees the same images and the same noise, so a killed run goes on as if nothing had
happened; Ctrl-C saves it first.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sipbench import configs
from sipbench.device import make_deterministic, warn_of_emulation
from sipbench.errors import UserError, unknown
from sipbench.problem import Rng
from sipbench.training.precision import lower
from sipbench.training.state import State, alone, patient, writable

PRECISIONS = ("float32", "bfloat16", "float16")
Loss = Callable[[nn.Module, Tensor, Rng], Tensor]


@runtime_checkable
class Staged(Protocol):
    """A loss that changes as the training goes. Called as it is it is that of the end, which validation looks at."""

    def __call__(self, network: nn.Module, x: Tensor, rng: Rng) -> Tensor: ...

    def at(self, share: float) -> tuple[Loss, float]:
        """After this share of the steps: the loss, and what the learning rate is multiplied by."""
        ...


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to train.

    The learning rate rises over `warmup` steps, stays, and falls to zero over the last `decay` share of the steps, so
    that a run can be shortened or lengthened while it goes. Every `validate_every` steps the averaged network is looked
    at on validation images, and the best is what the training gives; after `patience` looks without a better one it
    ends. 0 stands for never.
    """

    steps: int = 10_000
    batch_size: int = 16
    lr: float = 6e-4
    warmup: int = 200
    decay: float = 0.3
    ema: float = 0.999
    clip: float = 1.0
    precision: str = "float32"
    seed: int = 0
    save_every: int = 500
    validate_every: int = 0
    patience: int = 0

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch_size": 1, "save_every": 1, "validate_every": 0, "patience": 0, "warmup": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"{name} is a whole number from {low} on, not {getattr(self, name)}")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr is a number above 0, not {self.lr}")
        if not self.clip > 0:
            raise ValueError(f"clip is a number above 0, not {self.clip}: gradients are made no longer than that")
        for name in ("decay", "ema"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a number from 0 to 1, not {getattr(self, name)}")
        if self.precision not in PRECISIONS:
            raise unknown("precision", self.precision, PRECISIONS)

    @classmethod
    def of(cls, node: Mapping[str, Any]) -> Schedule:
        """From a config's entries."""
        try:
            return cls(**configs.typed(cls, dict(node)))
        except (ValueError, UserError) as error:
            raise UserError(f"schedule: {error}") from error

    def fixed(self) -> dict[str, Any]:
        """What a run that goes on may not change: all but how long it is and how often it is saved."""
        return {name: value for name, value in asdict(self).items() if name not in ("steps", "save_every")}

    def rate(self, step: int) -> float:
        up = min(1.0, (step + 1) / max(1, self.warmup))
        down = (self.steps - step) / max(1.0, self.decay * self.steps)
        return self.lr * min(up, 1.0, down)


def fit(
    network: nn.Module,
    loss: Loss,
    images: Callable[[range], Tensor],
    schedule: Schedule,
    folder: Path,
    *,
    device: torch.device,
    about: Mapping[str, Any] | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    aim: str = "",
    sheet: Callable[[nn.Module, Path], None] | None = None,
    report: Callable[[str], None] = print,
) -> tuple[nn.Module, dict[str, Any]]:
    """Train and return the averaged network, the best of those that were validated, and the facts of its training.

    Args:
        loss: the loss of the network on a batch of images, given one random stream per image.
        images: the training images of a range of indices, (B, C, H, W).
        about: what else the result depends on; a run that began with other settings is refused.
        validate: the loss of a network on validation images, the same ones each time.
        aim: what the loss is called, where a run may go on with another one.
        sheet: draws what the averaged network can do, at each save.

    One process at a time trains in a folder; another waits, and finds it done.
    """
    with alone(folder, report), patient() as interrupted:
        writable(folder)
        warn_of_emulation(device, schedule.precision)
        make_deterministic(device)
        network = network.to(device).train()
        average = copy.deepcopy(network).requires_grad_(False).eval()
        optimiser = torch.optim.Adam(network.parameters(), lr=schedule.lr)
        scaler = torch.amp.GradScaler(device.type, enabled=schedule.precision == "float16")
        state = State(folder, {**(about or {}), "schedule": schedule.fixed()}, network, average, optimiser, scaler, aim)
        facts = state.restore(device)
        if not facts["step"]:
            _tried(copy.deepcopy(network), loss, images(range(1)).to(device), schedule.seed)
        if schedule.precision != "float32":
            lower(network, device, getattr(torch, schedule.precision))
        running = torch.tensor(facts["loss"], device=device) if facts["step"] else None
        best = Best(validate if schedule.validate_every else None, schedule, state)
        speed = Speed(schedule, facts["step"])
        for step in range(facts["step"], schedule.steps):
            if best.stale:
                break
            value = _step(state, loss, images, schedule, step, device)
            running = value if running is None else torch.lerp(running, value, 0.02)
            best.look(step + 1)
            last = step + 1 == schedule.steps or best.stale
            stopped = interrupted()
            if not (last or stopped or (step + 1) % schedule.save_every == 0):
                continue
            best.sound(step + 1)
            spent = facts["seconds"] + speed.lap(step + 1)
            facts = {"step": step + 1, "loss": float(running), "seconds": spent, **best.facts}
            state.save(facts)
            report(f"step {step + 1}/{schedule.steps}  loss {facts['loss']:.5f}{best.said}  {speed.said}")
            if stopped:
                raise KeyboardInterrupt
            if sheet is not None:
                sheet(average, folder / f"sheet-{step + 1:07d}.png")
    best.put_back()
    return average, facts | {"images": facts["step"] * schedule.batch_size}


def _tried(network: nn.Module, loss: Loss, x: Tensor, seed: int) -> None:
    """Refuse at once what cannot be trained; on a copy, of which nothing is kept."""
    with in_a_line():
        value = loss(network, x, Rng.of(seed, "first", [0], x.device))
    if not value.requires_grad:
        why = "its method's solver passes no gradient on to it"
        raise UserError(f"the network cannot be trained so: {why}; leave recipe= out, or train it by itself")


@contextmanager
def in_a_line() -> Iterator[None]:
    """What does not fit, such as another number of channels, as a plain error."""
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"the network cannot be trained on these images and measurements: {reason}") from error


class Best:
    """The averaged network that was best on validation images so far, kept in the state of the training.

    Its loss is written into `validation.csv`, a line a look. Where the loss is another one than before it is looked at
    anew: no number of one is a measure of the other.
    """

    def __init__(self, validate: Callable[[nn.Module], float] | None, schedule: Schedule, state: State) -> None:
        self.validate, self.schedule, self.state = validate, schedule, state
        self.value = float(state.facts.get("best", math.inf))
        self.step, self.looks = int(state.facts.get("best_step", 0)), int(state.facts.get("looks", 0))
        if state.another_aim and state.best is not None and validate is not None:
            now = copy.deepcopy(state.average)
            now.load_state_dict(state.best)
            self.value, self.looks = validate(now), 0

    @property
    def facts(self) -> dict[str, Any]:
        known = {"best": self.value, "best_step": self.step, "looks": self.looks}
        return known if self.validate is not None else {}

    @property
    def said(self) -> str:
        return f"  best on validation {self.value:.5f} at step {self.step}" if self.step else ""

    @property
    def stale(self) -> bool:
        """Whether the last `patience` looks found nothing better."""
        return 0 < self.schedule.patience <= self.looks

    def look(self, step: int) -> None:
        """Validate where it is time; at the last step too."""
        due = step == self.schedule.steps or step % max(1, self.schedule.validate_every) == 0
        if self.validate is None or not due:
            return
        value = self.validate(self.state.average)
        if not math.isfinite(value) and self.state.best is None:
            raise astray("its loss is no number", step)
        self.looks += 1
        if value < self.value:
            self.value, self.step, self.looks = value, step, 0
            self.state.best = {k: v.clone() for k, v in self.state.average.state_dict().items()}
        self.state.tell("validation.csv", {"step": step, "loss": value})

    def sound(self, step: int) -> None:
        """Refuse to save a network that went astray, where there is none to put back."""
        if self.state.best is None and not all(bool(p.isfinite().all()) for p in self.state.network.parameters()):
            raise astray("its weights are no numbers", step)

    def put_back(self) -> None:
        """The averaged network as it was at its best."""
        if self.state.best is not None:
            self.state.average.load_state_dict(self.state.best)


def astray(what: str, step: int) -> UserError:
    return UserError(f"it went astray: {what} at step {step}; try a smaller schedule.lr")


class Speed:
    """How fast the training goes, from save to save."""

    def __init__(self, schedule: Schedule, step: int) -> None:
        self.schedule, self.step, self.began, self.said = schedule, step, time.monotonic(), ""

    def lap(self, step: int) -> float:
        """The seconds since the last save; `said` is told what they mean."""
        spent = time.monotonic() - self.began
        speed = (step - self.step) * self.schedule.batch_size / max(1e-9, spent)
        left = (self.schedule.steps - step) * self.schedule.batch_size / speed
        self.said = f"{speed:.1f} images/s  {left / 60:.0f} min left"
        self.step, self.began = step, time.monotonic()
        return spent


def _step(
    state: State,
    loss: Loss,
    images: Callable[[range], Tensor],
    schedule: Schedule,
    step: int,
    device: torch.device,
) -> Tensor:
    """One step of Adam and of the moving average; the loss."""
    numbers = range(step * schedule.batch_size, (step + 1) * schedule.batch_size)
    x = images(numbers).to(device, non_blocking=True)
    rng = Rng.of(schedule.seed, "train", numbers, device)
    loss, factor = loss.at(step / schedule.steps) if isinstance(loss, Staged) else (loss, 1.0)
    for group in state.optimiser.param_groups:
        group["lr"] = schedule.rate(step) * factor
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed((schedule.seed * 2**32 + step) % 2**63)  # of what a network draws by itself, such as dropout
        value = loss(state.network, x, rng)
    state.optimiser.zero_grad(set_to_none=True)
    state.scaler.scale(value).backward()
    state.scaler.unscale_(state.optimiser)
    nn.utils.clip_grad_norm_(state.network.parameters(), schedule.clip)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    _average(state.average, state.network, min(schedule.ema, (step + 1) / (step + 10)))
    return value.detach()


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """average <- decay average + (1 - decay) network; buffers are copied."""
    torch._foreach_lerp_(list(average.parameters()), [p.detach() for p in network.parameters()], 1 - decay)
    for kept, now in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(now)
