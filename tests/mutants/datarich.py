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
    "dncnn.DnCNN": {
        "the image, not the noise": ("x - 2 * ANY", "2 * ANY"),
        "noise on [-1, 1]": ("x - 2 * ANY", "x - ANY"),
        "added": ("x - 2 * ANY", "x + 2 * ANY"),
    },
    "drunet.DRUNet": {
        "level on [-1, 1]": ("sigma.to(x) / 2", "sigma.to(x)"),
        "one level": ("sigma.to(x) / 2", "sigma.to(x)[:1].expand(len(x)) / 2"),
        "image on [-1, 1]": ("(x + 1) / 2", "x"),
        "zeros beyond": ("'replicate'", "'constant'"),
        "a skip left out": ("u + x3", "u"),
    },
    "lpn.LPN": {
        "weights below zero": ("F.softplus(core)", "core"),
        "not growing": ("F.softplus(t, self.beta)", "F.softplus(-t, self.beta)"),
        "sums below zero": ("F.softplus(weight)", "-F.softplus(weight)"),
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
    "end_to_end.end_to_end": {
        "adjoint for inverse": ("first_image(problem, cutoff)", "problem.linear.T(y)"),
        "inverse for adjoint": ("problem.linear.T(y)", "first_image(problem, cutoff)"),
        "always inverted": ("given != 'y' and f.linear", "f.linear"),
        "phases zero": ("y * field.sgn()", "y"),
        "peak over the batch": ("v.flatten(1).abs().amax(1)", "v.abs().amax().expand(len(v))"),
        "rows for columns": ("ANY.repeat_interleave(ANY1, -1)", "ANY.repeat(1, 1, 1, ANY1)"),
    },
    "fully_learned.fully_learned": {
        "not scaled": ("self.scale * y", "y"),
        "scale upside down": ("1 / rms.clamp(min=ANY)", "rms"),
        "no U-Net": ("self.unet(ANY)", "ANY"),
    },
    "lista.lista": {
        "no thresholds": ("F.relu(u.abs() - theta)", "u.abs()"),
        "one layer fewer": ("problem.steps(net.layers)", "problem.steps(net.layers - 1)"),
        "mixing transposed": ("a @ S.T", "a @ S"),
        "norm not squared": ("D.T / problem.linear.norm", "D.T"),
        "not orthonormal": ("torch.where(k == 0, ANY, C)", "C"),
        "no signs": ("u.sign() * ANY", "ANY"),
    },
    "lpd.lpd": {
        "memory not used": ("x[:, 1 % net.memory]", "x[:, 0]"),
        "dual memory": ("h[:, 0]", "h[:, 1]"),
        "no residual": ("x + net(ANY, k)", "net(ANY, k)"),
        "one network": ("self.primal[k]", "self.primal[0]"),
        "not normalised": ("1 / net.norm(problem)", "1 + 0 * net.norm(problem)"),
        "returns its memory": ("x[:, 0].to(ANY)", "x[:, 1].to(ANY)"),
        "colours apart": ("self.channels = channels", "self.channels = 1"),
        "entries side by side": ("(1, 1)", "(1, shape[-1])"),
    },
    "modl.modl": {
        "network last": ("return x.to(ANY)", "return net(x).to(ANY)"),
        "data first": ("x = A.T(y) / L", "x = Solution.apply(A.T(y) / L, lam, lambda v: A.T(A(v)) / L, cg_iterations)"),
        "weight left out": ("M(v) + lam * v", "M(v)"),
        "weight twice": ("M(v) + lam * v", "M(v) + 2 * lam * v"),
        "norm not squared": ("net.norm(problem) ** 2", "net.norm(problem)"),
        "from zero": ("A.T(y - A(z)) / L", "A.T(y) / L"),
        "gradient not solved": ("u = ctx.solve(dv[0])", "u = dv[0]"),
        "sign of the weight's gradient": ("-(u * v).sum()", "(u * v).sum()"),
    },
    "unrolled_pgd.unrolled_pgd": {
        "uphill": ("A(x) - y", "y - A(x)"),
        "norm not squared": ("net.norm(problem) ** 2", "net.norm(problem)"),
        "one step size": ("net.eta[k]", "net.eta[0]"),
        "networks in reverse": ("self.prox[k % len(self.prox)]", "self.prox[-1 - k % len(self.prox)]"),
        "shared exchanged": ("1 if shared else steps", "steps if shared else 1"),
        "start too large": ("A.T(y) / L", "A.T(y)"),
        "network first": ("net(x - ANY, k)", "net(x, k) - ANY"),
    },
    "restoration_prior.restoration_prior": {
        "away from the restorer": ("x - R(x)", "R(x) - x"),
        "tau left out": ("gamma * tau", "gamma"),
        "measured by pixels": ("H.T(H(v)) / ANY", "v"),
        "H not normalised": ("H.norm**2", "1.0"),
        "epsilon left out": ("epsilon * v", "0 * v"),
        "A not normalised": ("gamma * f.T(f(v)) / L", "gamma * f.T(f(v))"),
        "data of x": ("y - f(z)", "y - f(x)"),
        "restored from H^T": ("H.pinv", "H.T"),
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
NETWORKS: dict[str, dict[str, tuple[str, str]]] = {
    "nafnet.NAFNet": {
        "no gate": ("a * b", "a"),
        "no attention": ("v * self.sca(v)", "v"),
        "norm over the image": ("x.mean(1, keepdim=True)", "x.mean((1, 2, 3), keepdim=True)"),
        "variance left out": ("d.square().mean(1, keepdim=True)", "torch.ones_like(d)"),
        "second part left out": ("x + self.gamma * ANY", "x"),
        "skips in order": ("skips.pop()", "skips.pop(0)"),
        "not residual": ("v + ANY[..., :h, :w]", "ANY[..., :h, :w]"),
    },
    "iradonmap.IRadonMap": {
        "turned the other way": ("i[:, None] * ANY", "-i[:, None] * ANY"),
        "a whole turn": ("torch.pi / views", "2 * torch.pi / views"),
        "off by half a detector": ("(detectors - 1) / 2", "detectors / 2"),
        "no filter": ("y @ self.filter.T", "y"),
        "filter transposed": ("self.filter.T", "self.filter"),
        "weights left out": ("self.weight * seen", "seen"),
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
        for solver, changes in (BROKEN | NETWORKS).items()
        for name, change in changes.items()
    ),
    *(Mutant(name, "datarich.hqs.hqs", *change, module="datarich.denoisers") for name, change in SHARED.items()),
    Mutant("blind", "datarich.dncnn.DnCNN", "sigma.to(v) / 2", "0 * sigma.to(v)", witness="map"),
    Mutant("level on [-1, 1]", "datarich.dncnn.DnCNN", "sigma.to(v) / 2", "sigma.to(v)", witness="map"),
    Mutant("of psi itself", "datarich.lpn.LPN", "2 * D - 1", "D", witness="gradient"),
    Mutant("level on [-1, 1]", "datarich.lpn.LPN", "sigma.to(x) / 2", "sigma.to(x)", witness="gradient"),
    Mutant(
        "first level for all",
        "datarich.denoisers.network_denoiser",
        "sigma.to(weight.dtype)",
        "sigma.to(weight.dtype).flatten()[:1]",
    ),
    Mutant(
        "half the level",
        "datarich.denoisers.network_denoiser",
        "sigma.to(weight.dtype)",
        "sigma.to(weight.dtype) / 2",
    ),
    Mutant("half the weight", "datarich.denoisers.total_variation", "sigma.to(x) ** 2", "sigma.to(x) ** 2 / 2"),
    Mutant("no projection", "datarich.denoisers.total_variation", "ANY.clamp(min=1)", "torch.ones_like(ANY)"),
]
