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
    "external.external": {
        "range not undone": ("(x - low) / (high - low) * 2 - 1", "x"),
        "images on [0, 1]": ("(v + 1) / 2 * (high - low) + low", "v * (high - low) + low"),
        "adjoint not scaled": ("v / each(norms(problem).square(), v)", "v"),
        "adjoint for the pseudo-inverse": ("given == 'pinv'", "given == 'adjoint'"),
        "not clipped": ("ANY.clamp(-1, 1)", "ANY"),
    },
    "reconstructor.reconstructor": {
        "norm forgotten": ("f(x) / norm", "f(x)"),
        "adjoint's norm forgotten": ("f.T(y) / norm", "f.T(y)"),
        "y not moved": ("h * problem.y[one] + dark[one]", "h * problem.y[one]"),
        "y not scaled": ("h * problem.y[one] + dark[one]", "problem.y[one] + dark[one]"),
        "noise of [-1, 1]": ("noise(problem, h / norm)", "noise(problem, 1 / norm)"),
        "noise without the norm": ("noise(problem, h / norm)", "noise(problem, h)"),
        "result not moved": ("(u - m) / h", "u / h"),
    },
}
SHARED: dict[str, tuple[str, str]] = {
    "not scaled by alpha": ("prior.spread(alpha, x) * x", "x"),
    "variance for level": ("prior.time_at(sigma)", "prior.time_at(sigma**2)"),
    "one level": ("math.log10(first)", "math.log10(last)"),
}

FRAMES: dict[str, tuple[str, str]] = {
    "order not turned": ("restore(v.flip(1)).flip(1)", "restore(v)"),
    "order not turned back": ("restore(v.flip(1)).flip(1)", "restore(v.flip(1))"),
    "tiles that do not overlap": ("side - overlap", "side"),
    "tiles not cut": ("overlap // 2 if start else 0", "0"),
    "padding not cut": ("net(ANY)[..., : h * scale, : w * scale]", "net(ANY)[..., -h * scale :, -w * scale :]"),
    "not reflected": ("'reflect'", "'replicate'"),
}

MUTANTS = [
    *(Mutant(name, "datarich.external.external", *c, module="datarich.frames") for name, c in FRAMES.items()),
    *(
        Mutant(name, f"datarich.{solver}", *change)
        for solver, changes in BROKEN.items()
        for name, change in changes.items()
    ),
    *(Mutant(name, "datarich.hqs.hqs", *change, module="datarich.denoisers") for name, change in SHARED.items()),
    Mutant("half the weight", "datarich.denoisers.total_variation", "sigma.to(x) ** 2", "sigma.to(x) ** 2 / 2"),
    Mutant("no projection", "datarich.denoisers.total_variation", "ANY.clamp(min=1)", "torch.ones_like(ANY)"),
]
