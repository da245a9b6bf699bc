"""Broken variants of the data-rich solvers."""

from tests.mutants import Mutant

BROKEN: dict[str, dict[str, tuple[str, str]]] = {
    "admm_pnp.admm_pnp": {
        "sign of u": ("u + x - v", "u - x + v"),
        "u left out": ("D(x + u, ANY)", "D(x, ANY)"),
        "data step at v + u": ("v - u", "v + u"),
        "variance for level": ("(lam / rhos).sqrt()", "lam / rhos"),
        "always growing": ("torch.where(ANY, gamma, 1.0)", "gamma"),
        "growing where it falls": ("change >= eta * last", "change < eta * last"),
        "change over the batch": ("norm(b - a)", "(b - a).norm().expand(len(a))"),
        "noise twice": ("sigma_n * ANY", "2 * sigma_n * ANY"),
    },
    "hqs.hqs": {
        "noise not squared": ("lam * sigma_n**2", "lam * sigma_n"),
        "denoised, then data": ("return z", "return z + gain(y - f(z), 1.0, lam)"),
        "levels rising": ("D(ANY, sigmas[k])", "D(ANY, sigmas[-1 - k])"),
        "weight of the next": ("sigmas[k] ** 2", "sigmas[k - 1] ** 2"),
        "no data": ("z + gain(ANY, 1.0, rho)", "z"),
    },
    "pgd_pnp.pgd_pnp": {
        "norm not squared": ("norms(problem).square()", "norms(problem)"),
        "uphill": ("f(s) - y", "y - f(s)"),
        "always momentum": ("momentum", "True"),
        "momentum too large": ("(before - 1) / t", "before / t"),
        "level forgotten": ("sigmas[k]", "sigmas[-1]"),
        "start too large": ("x = s = x / L", "x = s = x"),
    },
    "red.red": {
        "not the residual": ("weight * (x - v)", "weight * x"),
        "step": ("2 / (L / variance + weight)", "1 / (L / variance + weight)"),
        "units of [0, 1]": ("of_255(1.0) ** 2", "(of_255(1.0) / 2) ** 2"),
        "rules exchanged": ("rule == 'fixed_point'", "rule != 'fixed_point'"),
        "weight not scaled": ("weight * variance", "weight"),
    },
    "far_field.far_field_net": {
        "origin at the corner": ("torch.fft.fftshift(u, dim=ANY)", "u"),
        "magnitudes squared": ("m * omega", "m * m * omega"),
        "phases turned round": ("omega = u / ANY", "omega = u.conj() / ANY"),
        "magnitudes of its own": ("m * omega", "m * u"),
        "no logarithm": ("ANY.log1p() / ANY1", "ANY / 1000"),
    },
    "regression.knn": {
        "one neighbour too few": ("near(ANY, y, k)", "near(ANY, y, k - 1)"),
        "one neighbour too many": ("near(ANY, y, k)", "near(ANY, y, k + 1)"),
        "before for after": ("ANY if breaking else ANY1", "ANY1 if breaking else ANY"),
        "never broken": ("ANY if breaking else ANY1", "ANY1"),
        "a ball that is full in the middle": ("u ** ANY", "u"),
        "trained on a quarter": ("0.8 * points", "0.2 * points"),
    },
    "regression.mlp": {
        "uphill": ("net(y[i]) - x[i]", "net(y[i]) + x[i]"),
        "no rate": ("lr * min(1.0, ANY)", "lr * 1e-3"),
        "another's target": ("x[i]", "x[i - 1]"),
        "broken both times": ("ANY if breaking else ANY1", "ANY"),
        "broken neither time": ("ANY if breaking else ANY1", "ANY1"),
    },
}
SHARED: dict[str, tuple[str, str]] = {
    "not scaled by alpha": ("prior.spread(alpha, x) * x", "x"),
    "variance for level": ("prior.time_at(sigma)", "prior.time_at(sigma**2)"),
    "one level": ("math.log10(first)", "math.log10(last)"),
}

MUTANTS = [
    *(
        Mutant(name, f"datarich.{solver}", *change)
        for solver, changes in BROKEN.items()
        for name, change in changes.items()
    ),
    *(Mutant(name, "datarich.hqs.hqs", *change, module="datarich.denoisers") for name, change in SHARED.items()),
    Mutant("half the weight", "datarich.denoisers.total_variation", "sigma.to(x) ** 2", "sigma.to(x) ** 2 / 2"),
    Mutant("no projection", "datarich.denoisers.total_variation", "ANY.clamp(min=1)", "torch.ones_like(ANY)"),
]
