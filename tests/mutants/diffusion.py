"""Broken variants of the diffusion solvers: by the function, and the witness where it is not the usual one."""

from tests.mutants import Mutant

# what the samplers share
X_HAT = "ddim(x_t, x_hat, now, then, ANY)", "ddim(x_t, x_hat, then, now, ANY)"
ONE_NORM = "norm(ANY)", "ANY.norm()[None]"
TWICE_SIGMA = "max(problem.sigma, LEAST_SIGMA) ** 2", "2 * max(problem.sigma, LEAST_SIGMA) ** 2"
FRESH = "rng.normal_like(x_t)", "2 * rng.normal_like(x_t)"

BROKEN: dict[str, dict[str, tuple[str, str]]] = {
    "blinddps.blinddps": {
        "norm squared": ("norm(y - ANY)", "(y - ANY).flatten(1).square().sum(1)"),
        "index": ("now.alpha / now.size", "then.alpha / now.size"),
        "no sum": ("k / k.sum((-2, -1), keepdim=True).clamp(min=torch.finfo(k.dtype).tiny)", "k"),
        "levels swapped": ("ANY[i : i + 2]", "ANY[i : i + 2][::-1]"),
        "too much noise": ("rng.normal_like(v_t)", "2**0.5 * rng.normal_like(v_t)"),
        "twice the step": ("zeta * gradient[name]", "2 * zeta * gradient[name]"),
    },
    "blinddps.blinddps schedules": {"step not scaled": ("zeta * now.size * then.size", "zeta")},
    "cdim.cdim": {
        "variance": ("b * trace", "2 * b * trace"),
        "deviation": ("c * ANY.sqrt()", "10 * c * ANY.sqrt()"),
        "signal": ("1 - at.alpha", "at.alpha"),
        "level of the bound": ("bound(scaled(then))", "bound(scaled(now))"),
        "level of the network": (
            "_project(problem, x_t / then.size, then, ANY, K)",
            "_project(problem, x_t / then.size, now, ANY, K)",
        ),
        "unmeasured entries": ("problem.f.valid is None", "True"),
    },
    "daps.daps": {
        "half the noise": ("2 * sigma**2", "sigma**2"),
        "twice the noise": ("2 * sigma**2", "4 * sigma**2"),
        "twice the heat": ("2 * (1 - m)", "4 * (1 - m)"),
        "level too high": ("then.sigma * rng.normal_like(x_y)", "now.sigma * rng.normal_like(x_y)"),
        "noise at the end": ("return prior.decode(x_y)", "return prior.decode(x_y + 0.2 * rng.normal_like(x_y))"),
    },
    "ddnm.ddnm": {
        "half the projection": ("x_hat - pinv(ANY)", "x_hat - 0.5 * pinv(ANY)"),
        "fresh and kept swapped": ("kept, fresh = shares(now, then, eta)", "fresh, kept = shares(now, then, eta)"),
        "the level of now": ("then.alpha * r + then.sigma * ANY", "then.alpha * r + now.sigma * ANY"),
    },
    "ddnm.ddnm plus": {
        "twice the noise of y": ("sigma_y * inverse", "2 * sigma_y * inverse"),
        "no noise": ("ANY + S * fresh * z", "ANY"),
    },
    "ddnm.ddnm blur": {
        "every singular value": ("invert(svd.s, cutoff)", "invert(svd.s)"),
    },
    "ddnm.ddnm without": {
        "the level of now": ("(sigma_y / then.S) ** 2", "(sigma_y / now.S) ** 2"),
        "not squared": ("(sigma_y / then.S) ** 2", "sigma_y / then.S"),
    },
    "ddnm.ddnm posterior": {
        "fresh and kept swapped": ("kept, fresh = shares(now, then, eta)", "fresh, kept = shares(now, then, eta)"),
        "twice the noise of y": ("sigma_y * inverse", "2 * sigma_y * inverse"),
    },
    "ddrm.ddrm": {
        "twice the noise of y": ("sigma_y * inverse", "2 * sigma_y * inverse"),
        "the level of now": ("S_t, S = now.S, then.S", "S_t = S = now.S"),
        "no root": ("(S**2 - ANY).clamp(min=0).sqrt()", "(S**2 - ANY).clamp(min=0)"),
        "noise twice": ("ANY / now.sigma + fresh * z", "ANY / now.sigma + 2 * fresh * z"),
    },
    "ddrm.ddrm blur": {
        "every singular value": ("invert(svd.s, cutoff)", "invert(svd.s)"),
    },
    "ddrm.ddrm posterior": {
        "twice the noise of y": ("sigma_y * inverse", "2 * sigma_y * inverse"),
        "the level of now": ("S_t, S = now.S, then.S", "S_t = S = now.S"),
        "noise twice": ("ANY / now.sigma + fresh * z", "ANY / now.sigma + 2 * fresh * z"),
    },
    "dds.dds": {
        "twice the weight": ("weight * f.T(f(d))", "2 * weight * f.T(f(d))"),
        "eta": ("(1 - eta**2) ** 0.5", "(1 - eta) ** 0.5"),
        "levels swapped": ("then.sigma * ANY", "now.sigma * ANY"),
        "scale of another level": ("x_t - now.alpha * x_hat", "x_t - then.alpha * x_hat"),
        "too much noise": FRESH,
        "noise at the end": ("return x_t", "return x_t + 0.01 * rng.normal_like(x_t)"),
    },
    "dflow.flow": {
        "swapped times": ("velocity(prior, middle, half)", "velocity(prior, middle, now)"),
        "factor of two": ("u - prior.denoise(ANY, t)", "u - 2 * prior.denoise(ANY, t)"),
        "variance": ("ANY / (sigma / (alpha + sigma))", "ANY / sigma**2"),
    },
    "dflow.dflow": {
        "factor of two": ("r**2 / 2", "r**2"),
        "sign": ("residual + lam * ANY", "residual - lam * ANY"),
        "twice the measurement": ("f(x_hat) - y", "f(x_hat) - 2 * y"),
        "scale": ("spread * solver.x.view_as(z)", "solver.x.view_as(z)"),
    },
    "diffpir.diffpir": {
        "twice the noise": ("problem.sigma / 2", "problem.sigma"),
        "no root": ("zeta**0.5", "zeta"),
        "the level of now": ("then.alpha * x0 + then.sigma * ANY", "then.alpha * x0 + now.sigma * ANY"),
        "the level of then": ("now.S**2", "then.S**2"),
        "data at the last step": ("then.sigma > 0", "True"),
    },
    "dmplug.dmplug": {
        "sum for mean": ("ANY.flatten(1).mean(1)", "ANY.flatten(1).sum(1)"),
        "from the last time": ("1000 // steps", "999 // (steps - 1)"),
        "clipped too late": ("ddim(x, clipped(ANY, clip), now, then)", "ddim(x, ANY, now, then).clamp(-1, 1)"),
        "index": ("(index + 1) / 1000", "index / 1000"),
        "scale of Z": ("levels[0].size * Z", "2 * levels[0].size * Z"),
    },
    "dmps.dmps": {
        "twice the noise": TWICE_SIGMA,
        "twice the score": ("scale * then.alpha", "2 * scale * then.alpha"),
        "level forgotten": ("now.S**2 - then.S**2", "now.S**2"),
        "levels swapped": X_HAT,
        "noise at the end": ("return x_t", "return x_t + 0.3 * rng.normal_like(x_t)"),
    },
    "dps.dps": {
        "norm squared": ("norm(ANY)", "ANY.flatten(1).square().sum(1)"),
        "norm over the batch": ONE_NORM,
        "twice the step": ("zeta * now.size", "2 * zeta * now.size"),
        "gradient at x_hat": ("torch.autograd.grad(ANY, x_t)", "torch.autograd.grad(ANY, x_hat)"),
        "too much noise": FRESH,
    },
    "enkg.enkg": {
        "sign": ("f_x - y.flatten(1)[:, None]", "f_x + y.flatten(1)[:, None]"),
        "mean over images": ("f_x.mean(1, keepdim=True)", "f_x.mean((0, 1), keepdim=True)"),
        "norm over images": ("torch.linalg.matrix_norm(C, keepdim=True)", "torch.linalg.norm(C)"),
        "noise": ("ddim(x, x_hat, now, then)", "ddim(x, x_hat, now, then, torch.ones_like(x))"),
        "twice the step": ("ANY * move", "ANY * 2 * move"),
        "the inner flow": ("(steps - i) // factor", "steps // factor"),
    },
    "flowchef.flowchef": {
        "sum": ("ANY.square().mean(1)", "ANY.square().sum(1)"),
        "guided at the end": ("then.sigma > 0", "True"),
        "twice the step": ("(then.alpha + then.sigma) * ANY", "(now.alpha + now.sigma) * 2 * ANY"),
        "never moves on": ("ddim(x_t, x_0, now, then)", "ddim(x_t, x_0, now, now)"),
        "noise": ("ddim(x_t, x_0, now, then)", "ddim(x_t, x_0, now, then, torch.ones_like(x_t), 0.1)"),
    },
    "flowdps.flowdps": {
        "one step only": ("x_y.detach() - ANY", "x_0 - ANY"),
        "swapped times": ("(1 - now.u) * x_0 + now.u * x_y", "(1 - then.u) * x_0 + then.u * x_y"),
        "too little noise": ("then.u.sqrt() * x_1", "then.u * x_1"),
        "norm squared": ("fit(image).norm(dim=1)", "fit(image).square().sum(1)"),
        "the noise's scale": ("(x_t - now.alpha * x_0) / now.sigma", "(x_t - now.alpha * x_0) / now.alpha"),
        "no shift": ("shift * v / ANY", "v / ANY"),
    },
    "gdp.gdp": {
        "range": ("(f(x_hat) - y) / 2", "f(x_hat) - y"),
        "sum": ("ANY.flatten(1).mean(1)", "ANY.flatten(1).sum(1)"),
        "stream": ("problem.rng", "problem.rng.child('other')"),
        "too much noise": FRESH,
        "levels swapped": X_HAT,
    },
    "gibbsddrm.gibbsddrm": {
        "step": ("lr / 2 * gradient", "lr * gradient"),
        "weight of y": ("eta_b * self.y_bar", "self.y_bar"),
        "variance": ("eta_b * self.floor", "self.floor"),
        "correlation": ("2 * eta_a * eta_c * corr", "eta_a * eta_c * corr"),
        "index": ("prior.denoise(x_s, then.t)", "prior.denoise(x_s, now.t)"),
        "centre": ("(n - 1) // 2", "n // 2 - 1"),
        "sum": ("k = k / k.sum((-2, -1), keepdim=True)", ""),
    },
    "gibbsddrm.langevin": {"twice the heat": ("lr**0.5 * ANY", "2**0.5 * lr**0.5 * ANY")},
    "ilvr.ilvr": {
        "noise twice": ("then.sigma * z", "2 * then.sigma * z"),
        "the level of now": ("then.alpha * reference + then.sigma * z", "now.alpha * reference + now.sigma * z"),
        "not replaced": ("phi(ANY - x_t)", "phi(ANY)"),
        "the other end": ("steps - 1 - k > range_t", "k > range_t"),
    },
    "mcg.mcg": {
        "noise twice": ("then.sigma * z", "2 * then.sigma * z"),
        "the level of now": ("then.alpha * y + then.sigma * z", "now.alpha * y + now.sigma * z"),
        "norm over the batch": ONE_NORM,
        "the wrong way": ("-r / ANY", "r / ANY"),
    },
    "mmps.conditional_mean": {
        "twice the noise": ("problem.sigma**2", "2 * problem.sigma**2"),
        "twice the covariance": ("now.sigma**2 / now.alpha * ANY", "2 * now.sigma**2 / now.alpha * ANY"),
        "covariance unscaled": ("now.sigma**2 / now.alpha * ANY", "now.sigma**2 * ANY"),
        "time": ("problem.prior.denoise(x_t, now.t)", "problem.prior.denoise(x_t, 0.97 * now.t)"),
    },
    "mmps.mmps": {
        "twice the noise": ("problem.sigma**2", "2 * problem.sigma**2"),
        "twice the covariance": ("now.sigma**2 / now.alpha * ANY", "2 * now.sigma**2 / now.alpha * ANY"),
        "noise at the end": ("return x_t", "return x_t + 0.2 * problem.rng.normal_like(x_t)"),
        "levels swapped": ("ddim(x_t, x_y, now, then, ANY, eta)", "ddim(x_t, x_y, then, now, ANY, eta)"),
    },
    "pigdm.pigdm": {
        "twice the noise": TWICE_SIGMA,
        "twice the variance": ("now.sigma**2 / (now.alpha**2 + ANY)", "2 * now.sigma**2 / (now.alpha**2 + ANY)"),
        "another variance": ("now.sigma**2 / (now.alpha**2 + ANY)", "now.sigma**2 / now.alpha**4"),
        "levels swapped": ("x_t = ddim(ANY, x_hat, now, then, z, eta)", "x_t = ddim(ANY, x_hat, then, now, z, eta)"),
        "noise at the end": ("return x_t", "return x_t + 0.3 * rng.normal_like(x_t)"),
    },
    "psld.psld": {
        "gluing's gradient": ("lambda c: c - pinv(f(c))", "lambda c: c"),
        "one side of it": ("prior.encode(ANY) - z_hat", "prior.encode(ANY) - z_hat.detach()"),
        "norm over the batch": ONE_NORM,
        "twice the weight": ("omega * misfit", "2 * omega * misfit"),
        "too much noise": ("ddim(ANY, z_hat, now, then, z, eta)", "ddim(ANY, z_hat, now, then, rng.normal_like(z_t))"),
    },
    "reddiff.reddiff": {
        "no half": ("2 * m", "m"),
        "count of noise": ("f.valid is None", "True"),
        "weight": ("WEIGHTINGS[weighting](now.S)", "WEIGHTINGS[weighting](now.sigma)"),
        "scale": ("now.alpha / now.sigma * ANY", "now.sigma * ANY"),
        "Adam's memory": ("torch.lerp(gradient**2, square, 0.99)", "torch.lerp(gradient**2, square, 0.999)"),
        "schedule off by one": ("prior.times(steps, spacing)", "prior.times(steps + 1, spacing)[1:]"),
    },
    "reddiff.reddiff mode": {"wrong sign": ("obs_weight * gradient + ANY", "obs_weight * gradient - ANY")},
    "resample.resample": {
        "pseudo": ("z - now.sigma**2 * e", "z - now.sigma * e"),
        "through the network": ("torch.set_grad_enabled(not literal)", "torch.enable_grad()"),
        "travel": ("at[i : i + travel + 2]", "at[i : i + travel + 1]"),
        "scales": ("z - before.sigma**2 * e", "z - now.sigma**2 * e"),
        "variance": ("1 / v + 1 / then.sigma**2", "2 / v + 1 / then.sigma**2"),
        "swapped levels": ("1 - (now.alpha / then.alpha) ** 2", "(1 - (then.alpha / now.alpha) ** 2).abs()"),
        "no root": ("(1 / (1 / v + ANY)).sqrt()", "1 / (1 / v + ANY)"),
        "one norm": ONE_NORM,
    },
    "stsl.stsl": {
        "variance": ("ANY / at.sigma**2", "ANY / at.sigma"),
        "sum for difference": ("ANY - score(z_t, z_hat, now)", "ANY + score(z_t, z_hat, now)"),
        "sign": ("eta / d * ANY", "-eta / d * ANY"),
        "norm over the batch": ONE_NORM,
        "swapped levels": ("ddim(z_t, ANY, now, then)", "ddim(z_t, prior.denoise(z_t, then.t), now, then)"),
        "start": ("first.alpha * ANY", "0 * ANY"),
    },
}

MUTANTS = [
    Mutant(name, f"diffusion.{solver}", *change, witness=witness)
    for key, changes in BROKEN.items()
    for solver, _, witness in [key.partition(" ")]
    for name, change in changes.items()
]
