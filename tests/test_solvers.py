"""The contract of a solver, over every method listed in conf/method and every degradation it can do."""

from functools import cache
from types import SimpleNamespace

import pytest

from sipbench import configs, testing
from sipbench.bench.cell import NotApplicable
from sipbench.bench.needs import unmet, wants_prior
from sipbench.degradation import Degradation, small
from sipbench.errors import UserError
from sipbench.problem import Rng
from sipbench.testing.trial import Trial
from tests import listed

AMPLIFIED = {"deblur_defocus", "deblur_motion"}  # A^+ makes noise so large that what starts from it leaves [-1, 1]
POINTS = {"far_field"}  # before it has learnt phases, its image is a point that holds all of the light


# One of each kind of forward map; the others are run by make fulltest.
KINDS = {
    "sr4", "inpaint70", "deblur_gaussian", "deblur_motion", "colorize", "cs_gaussian", "mri", "ct_sparse",
    "phase_fourier", "hdr", "blind_motion", "turbulence",
}  # fmt: skip


@cache
def posed(name):
    """The degradation, and its forward map for two images of 32 pixels, or the class of it where a checkpoint lacks."""
    degradation = Degradation.of(small(configs.read("degradation", name)))
    try:
        return degradation, degradation.build((2, listed.channels(name)[-1], 32, 32), Rng.of(0, "facts", [0, 1]))
    except UserError:
        return degradation, listed.kind(name)


@cache
def wanted(method):
    return configs.read("method", method)


def applies(method, degradation):
    """Whether the method says that it can do this: what it needs, asked of the forward map and the noise."""
    node, (problem, f) = wanted(method), posed(degradation)
    kind = "latent" if "prior.latent" in (node.get("needs") or []) else "pixel"
    prior = SimpleNamespace(kind=kind) if wants_prior(node) else None
    noise = problem.noise if problem.reveal_noise else None
    return unmet(node, degradation, f, noise, prior) is None


PAIRS = [(m, d) for m in listed.METHODS for d in listed.DEGRADATIONS if applies(m, d)]
LEFT_OUT = {m: [d for d in listed.DEGRADATIONS if (m, d) not in set(PAIRS)] for m in listed.METHODS}
SAMPLE = [(m, out[i % len(out)]) for i, (m, out) in enumerate(LEFT_OUT.items()) if out]


DOES = {m: [d for n, d in PAIRS if n == m] for m in listed.METHODS}
TRIED = {m: [d for d in does if d in KINDS] or does[:1] for m, does in DOES.items() if does}  # by `make test`
TRIED["dpir_official"] = ["sr4"]  # its network is the published one, of 33 million weights


def case(method, degradation):
    marks = [] if degradation in TRIED[method] else [pytest.mark.full]
    return pytest.param(method, degradation, marks=marks, id=f"{method}-{degradation}")


@pytest.mark.parametrize(("method", "degradation"), [case(*pair) for pair in PAIRS])
def test_the_contract(method, degradation):
    try:
        findings = testing.check(method, degradation=degradation)
    except UserError as error:
        assert "missing checkpoint" in str(error)
        pytest.skip(str(error))
    assert findings[0].status != "SKIP", f"left out by what it needs, or a defect: {findings[0].seen}"
    lacking = [f.seen for f in findings if "needs the package" in f.seen]
    if lacking:
        pytest.skip(lacking[0])
    fine = [
        f.status == "PASS"
        or (f.status, f.check) == ("WARN", "range")
        and (degradation in AMPLIFIED or method in POINTS)
        for f in findings
    ]
    assert all(fine), testing.render(findings)


def refused(method, degradation):
    try:
        Trial.of(method, degradation, 32, {})
    except UserError as error:
        return isinstance(error, NotApplicable) or "missing checkpoint" in str(error)
    return False


@pytest.mark.parametrize(("method", "degradation"), SAMPLE)
def test_what_is_left_out_cannot_run(method, degradation):
    """One for each method, another one for the next; make fulltest asks all of them."""
    assert refused(method, degradation)


@pytest.mark.full
@pytest.mark.parametrize("method", listed.METHODS)
def test_all_that_is_left_out_cannot_run(method):
    assert [d for d in LEFT_OUT[method] if not refused(method, d)] == []


def test_each_method_is_tried():
    assert set(TRIED) == set(listed.METHODS)
