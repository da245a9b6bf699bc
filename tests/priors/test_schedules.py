"""The contract of every schedule: how times run, and that noise levels and times are the same thing said twice."""

import diffusers
import pytest
import torch

from sipbench.priors.schedules import LINEAR, Flow, VarianceExploding, VariancePreserving, alphas_cumprod, schedule_of

CONFIGS = {
    "vp": LINEAR,
    "vp, scaled": LINEAR | {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear"},
    "vp, cosine": LINEAR | {"beta_schedule": "squaredcos_cap_v2"},
    "vp, 50 times": LINEAR | {"num_train_timesteps": 50, "beta_end": 0.3},
    "ve": {"_class_name": "EDMEulerScheduler", "sigma_min": 0.002, "sigma_max": 80.0, "rho": 7.0},
    "ve, narrow": {"_class_name": "EDMDPMSolverMultistepScheduler", "sigma_min": 0.01, "sigma_max": 50.0, "rho": 5.0},
    "flow": {"_class_name": "FlowMatchEulerDiscreteScheduler"},
    "flow, shifted": {"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 3.0, "num_train_timesteps": 500},
}
FINE = torch.linspace(0, 1, 30_001, dtype=torch.float64)  # its points lie on the training times and between them


def times_fall_to_zero(schedule, start=1.0):
    for n in (1, 2, 7, 50):
        times = schedule.times(n)
        assert times.shape == (n + 1,) and times.dtype == torch.float64 and times.device.type == "cpu"
        assert times[0] == start and times[-1] == 0 and (times.diff() < 0).all()


def scales_are_monotone(schedule):
    alpha, sigma = schedule.scales(FINE)
    assert alpha[0] == 1 and sigma[0] == 0 and (alpha > 0).all()
    assert (alpha.diff() <= 0).all() and (sigma.diff() >= 0).all()
    last = int((FINE <= schedule.time_at(torch.tensor(1e9))).sum())
    assert ((sigma / alpha)[:last].diff() > 0).all()


def scales_are_continuous(schedule):
    """Also across the training times: a step of 1e-9 in t moves them by no more than the slope allows."""
    places = torch.cat([torch.arange(1, 50) / 50, FINE[1:-1:7]]).double()
    below, above = (torch.stack(schedule.scales(places + d)) for d in (-1e-9, 1e-9))
    assert ((above - below).abs() < 2e-6 * (1 + below)).all()


def time_at_inverts(schedule):
    first, last = (schedule.time_at(torch.tensor(level)) for level in (0.0, 1e9))
    t = FINE[(first <= FINE) & (last >= FINE)]
    alpha, sigma = schedule.scales(t)
    assert len(t) > 10_000 and (schedule.time_at(sigma / alpha) - t).abs().max() < 1e-6
    for level in torch.tensor([0.05, 0.3, 1.0, 4.0, 9.0], dtype=torch.float64):
        alpha, sigma = schedule.scales(schedule.time_at(level))
        assert float(sigma / alpha) == pytest.approx(float(level), rel=1e-6)


CONTRACT = [times_fall_to_zero, scales_are_monotone, scales_are_continuous, time_at_inverts]


@pytest.fixture(params=CONFIGS)
def schedule(request):
    return schedule_of(CONFIGS[request.param])


@pytest.mark.parametrize("part", CONTRACT)
def test_the_contract(schedule, part):
    part(schedule)


def test_a_time_an_image_is_that_of_each(schedule):
    times = schedule.times(5)
    for each, scalar in zip(zip(*schedule.scales(times), strict=True), map(schedule.scales, times), strict=True):
        assert each == scalar and all(s.ndim == 0 and s.dtype == torch.float64 for s in scalar)


def test_single_precision_times_mean_the_same(schedule):
    """A time that a solver kept in float32 is not the training time before it."""
    exact, rounded = schedule.times(10), schedule.times(10).float()
    for a, b in zip(schedule.scales(exact), schedule.scales(rounded), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    assert torch.allclose(schedule.clock(exact[:-1]), schedule.clock(rounded[:-1]), rtol=1e-6, atol=1e-5)


def test_a_level_out_of_reach_gives_the_nearest_known(schedule):
    first, last = (schedule.time_at(torch.tensor(level)) for level in (0.0, 1e9))
    assert 0 < first < last <= 1
    assert schedule.time_at(torch.tensor(1e-5)) == first and schedule.time_at(torch.tensor(1e7)) == last


def test_training_times_are_times_the_network_is_asked_at(schedule):
    first, last = (schedule.time_at(torch.tensor(level)) for level in (0.0, 1e9))
    t = schedule.training_times(torch.linspace(0, 1, 1001)[:-1])
    assert (t <= last + 1e-12).all() and (t >= min(first, 1e-5) - 1e-12).all() and len(t.unique()) > 40


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("vp")])
def test_at_the_training_times_the_products_are_those_of_the_table(name):
    schedule, products = schedule_of(CONFIGS[name]), alphas_cumprod(CONFIGS[name])
    t = torch.arange(1, len(products) + 1).double() / len(products)
    alpha, sigma = schedule.scales(t)
    assert torch.allclose(alpha**2, products, rtol=1e-9) and torch.allclose(sigma**2, 1 - products, rtol=1e-9)
    assert torch.equal(schedule.clock(t), torch.arange(len(products)).double())


def test_the_linear_schedule_has_the_published_products():
    """P_i of the 1000-step schedule with beta from 1e-4 to 0.02."""
    P = alphas_cumprod(LINEAR)
    table = {0: 0.99990, 250: 0.5214, 333: 0.31862, 500: 0.0778, 666: 0.010984, 749: 0.00335, 999: 4.036e-5}
    for i, value in table.items():
        assert float(P[i]) == pytest.approx(value, rel=1e-3), i


def test_the_exploding_levels_are_those_of_karras():
    n, low, high, rho = 18, 0.002, 80.0, 7.0
    i = torch.arange(n, dtype=torch.float64)
    karras = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    alpha, sigma = VarianceExploding().scales(VarianceExploding().times(n))
    assert (alpha == 1).all() and torch.allclose(sigma[:-1], karras) and sigma[-1] == 0
    assert torch.allclose(VarianceExploding().clock(VarianceExploding().times(n)[:-1]), karras.log() / 4)


def test_a_flow_is_a_straight_line():
    t = FINE[:-100]
    alpha, sigma = Flow().scales(t)
    assert torch.equal(sigma, t) and torch.allclose(alpha + sigma, torch.ones_like(t))
    assert torch.allclose(Flow().clock(t), 1000 * t)
    u, shift = torch.linspace(1, 0, 9, dtype=torch.float64), 3.0
    assert torch.allclose(Flow(shift=shift).times(8), shift * u / (1 + (shift - 1) * u))


class Steps(VariancePreserving):
    """The nearest training time instead of what lies between two."""

    def scales(self, t):
        return super().scales((t.double() * self.T).round() / self.T)


class Shifted(VariancePreserving):
    """Times counted from the other end of the table by one."""

    def time_at(self, level):
        return super().time_at(level) - 1 / self.T


class Late(VariancePreserving):
    """Ends at the least noise the network knows."""

    def times(self, n):
        return super().times(n).clamp(min=1 / self.T)


class Sigma(Flow):
    """Takes the level for sigma."""

    def time_at(self, level):
        return level.double().clamp(1 / self.T, 1 - 1 / self.T)


class Backwards(Flow):
    """Noise where the image should be."""

    def scales(self, t):
        return super().scales(1 - t)


@pytest.mark.parametrize(
    ("broken", "part"),
    [
        (Steps(LINEAR), scales_are_continuous),
        (Steps(LINEAR), time_at_inverts),
        (Shifted(LINEAR), time_at_inverts),
        (Late(LINEAR), times_fall_to_zero),
        (Sigma(), time_at_inverts),
        (Backwards(), scales_are_monotone),
    ],
)
def test_a_broken_schedule_is_seen(broken, part):
    with pytest.raises(AssertionError):
        part(broken)


@pytest.mark.parametrize("n", [1, 7, 50])
def test_samplers_start_at_the_noisiest_level_that_is_asked_for(n):
    """The cosine schedule goes on to 20,291 where the linear one of the published networks begins at 157."""
    config = LINEAR | {"beta_schedule": "squaredcos_cap_v2"}
    whole, limited = schedule_of(config), schedule_of(config, noisiest=157.5)
    alpha, sigma = limited.scales(limited.times(n))
    assert (
        100
        < float(sigma[0] / alpha[0])
        <= 157.5
        < 1e4
        < float((sigma := whole.scales(whole.times(n)))[1][0] / sigma[0][0])
    )
    assert limited.times(n)[-1] == 0 and torch.equal(limited.scales(FINE)[0], whole.scales(FINE)[0])
    assert limited.times(1000)[:1000].unique().numel() == 1000 and len(limited.times(1000)) == 1001


def test_a_level_below_all_training_times_is_refused():
    with pytest.raises(ValueError, match=r"at least 0\.01"):
        schedule_of(LINEAR, noisiest=0.001)
    with pytest.raises(ValueError, match="leave it out"):
        schedule_of(CONFIGS["flow"], noisiest=157.5)
    for empty in ({"num_train_timesteps": 0}, {"trained_betas": []}):
        with pytest.raises(ValueError, match="no training time"):
            schedule_of(LINEAR | empty)


@pytest.mark.parametrize(("T", "n"), [(1000, 20), (1000, 1000), (1000, 30), (50, 7)])
def test_leading_times_begin_a_stride_below_the_first(T, n):
    """As the public codes count them: 0, skip, 2 skip, ... of T training times, backwards."""
    schedule = schedule_of(LINEAR | {"num_train_timesteps": T})
    indices = [i * (T // n) for i in range(n)]
    clock = schedule.clock(schedule.times(n, "leading")[:-1])
    assert clock.round().int().tolist() == indices[::-1] and schedule.times(n, "leading")[-1] == 0


def test_where_no_times_are_trained_none_lead():
    with pytest.raises(ValueError, match="spacing=even"):
        VarianceExploding().times(5, "leading")


@pytest.mark.parametrize("n", [1, 20, 200, 994, 1000])
def test_leading_times_keep_the_limit(n):
    limited = schedule_of(LINEAR | {"beta_schedule": "squaredcos_cap_v2"}, noisiest=157.5)
    times = limited.times(n, "leading")
    alpha, sigma = limited.scales(times)
    assert float(sigma[0] / alpha[0]) <= 157.5 and len(times) == n + 1 and (times.diff() < 0).all()


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_a_schedule_rescaled_to_end_without_signal_is_that_of_diffusers(name):
    """Its last time knows nothing of the image, and is left out: alpha is never 0."""
    config = LINEAR | {"beta_schedule": name}
    wanted = diffusers.DDIMScheduler(**config, rescale_betas_zero_snr=True).alphas_cumprod.double()
    config |= {"rescale_betas_zero_snr": True}
    assert torch.allclose(alphas_cumprod(config), wanted, rtol=1e-3, atol=1e-9) and wanted[-1] == 0
    schedule, plain = schedule_of(config), schedule_of(LINEAR | {"beta_schedule": name})
    t = schedule.times(50)
    assert schedule.clock(t[:1]) == 998 and plain.clock(t[:1]) != 998
    assert torch.allclose(schedule.scales(t[:-1])[0] ** 2, wanted[schedule.clock(t[:-1]).long()], rtol=1e-2, atol=1e-9)
    for part in CONTRACT:
        part(schedule)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (LINEAR | {"trained_betas": [1.0, 0.5]}, "no training time with any signal"),
        (CONFIGS["ve"] | {"sigma_min": 0}, "0 < sigma_min < sigma_max"),
        (CONFIGS["ve"] | {"sigma_min": 80.0}, "0 < sigma_min < sigma_max"),
        (CONFIGS["ve"] | {"rho": 0}, "0 < rho"),
        (CONFIGS["flow"] | {"shift": 0}, "a shift above 0"),
        (CONFIGS["flow"] | {"num_train_timesteps": 1}, "more than one time"),
    ],
)
def test_a_schedule_without_levels_is_refused(config, said):
    with pytest.raises(ValueError, match=said):
        schedule_of(config)
