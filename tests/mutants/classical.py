"""Broken variants of the classical solvers and of the optimisers."""

from functools import partial

from tests.mutants import Mutant

_hio = partial(Mutant, solver="classical.hio.hio_er")
_raar = partial(Mutant, solver="classical.raar.raar")
_lucy = partial(Mutant, solver="classical.richardson_lucy.richardson_lucy")
_tgv = partial(Mutant, solver="classical.tgv.tgv")
_tikhonov = partial(Mutant, solver="classical.tikhonov.tikhonov")
_tv = partial(Mutant, solver="classical.tv.tv")
_wavelet = partial(Mutant, solver="classical.wavelet.wavelet")
_pan = partial(Mutant, solver="classical.pan_latent.few_pixels")
_wirtinger = partial(Mutant, solver="classical.wirtinger.wirtinger")
_sqp = partial(Mutant, solver="optimisers.sqp.SQP")
_lbfgs = partial(Mutant, solver="optimisers.lbfgs.LBFGS")

MUTANTS: list[Mutant] = [
    _hio("the P_M u before", right="u - beta * v", wrong="v - beta * v"),
    _hio("ER from the start", right="k < begin or ANY", wrong="ANY"),
    _hio("blocks exchanged", right="ANY % (hio + er) < hio", wrong="ANY % (hio + er) < er"),
    _hio("no projection", right="torch.where(frame.good(v), v, ANY)", wrong="torch.where(frame.good(v), u, ANY)"),
    _raar("ER from the start", right="k < begin or ANY", wrong="ANY"),
    _raar("blocks exchanged", right="ANY % (raar + er) < raar", wrong="ANY % (raar + er) < er"),
    _raar("weight", right="(1 - 2 * beta) * v", wrong="(1 - beta) * v"),
    _raar("goodness of P_M u", right="frame.good(2 * v - u)", wrong="frame.good(v)"),
    _raar(
        "cohere's form",
        right="torch.where(frame.good(2 * v - u), v, ANY)",
        wrong="torch.where(frame.good(2 * v - u), (1 - beta) * v + beta * u, ANY)",
    ),
    _lucy("difference", right="f.T(b / blurred.clamp(min=epsilon))", wrong="f.T(b - blurred.clamp(min=epsilon))"),
    _lucy("intensities", right="(y + f(one)) / 2", wrong="(y + 1) / 2"),
    _lucy("not multiplied", right="u * factor", wrong="factor"),
    _tgv("second weight", right="alpha0 * strength", wrong="1.1 * alpha0 * strength"),
    _tgv(
        "first weight",
        right="project(ANY, alpha1 * strength, over)",
        wrong="project(ANY, 1.1 * alpha1 * strength, over)",
    ),
    _tgv("no slopes", right="gradient(x).sub_(w)", wrong="gradient(x)"),
    _tgv("adjoint", right="symmetrised_T(q).sub_(p)", wrong="symmetrised_T(q)"),
    _tikhonov("exponent", module="classical.cosines", right="-exponent / 2", wrong="-exponent"),
    _tikhonov("cosines", module="classical.cosines", right="i + 0.5", wrong="i"),
    _tikhonov("variance", module="classical.cosines", right="s.mean()", wrong="s.max()"),
    _tikhonov(
        "noise",
        right="lambda v: f.T(f(v)) + F.filtered(v, ridge)",
        wrong="lambda v: f.T(f(v)) + F.filtered(v, ridge / 2)",
    ),
    _tikhonov("mean", right="_solved(problem, m + system.v, system)", wrong="_solved(problem, system.v, system)"),
    _tikhonov("few steps", module="common.linear", right="self.p = z + ANY * self.p", wrong="self.p = z"),
    _tikhonov("not preconditioned", right="lambda v: F.filtered(v, inverse)", wrong="lambda v: v"),
    _tikhonov("always content", right="system.done", wrong="system.done | True"),
    _tv("step too large", module="classical.primal_dual", right="sigma * bound", wrong="sigma"),
    _tv("weight", right="project(u, strength, over)", wrong="project(u, 1.1 * strength, over)"),
    _tv(
        "no extrapolation",
        module="classical.primal_dual",
        right="torch.add(z, moved, alpha=2)",
        wrong="torch.add(z, moved)",
    ),
    _tv("sign", module="classical.primal_dual", right="K_T(u).mul_(-tau_z)", wrong="K_T(u).mul_(tau_z)"),
    _wavelet("threshold", right="strength / L", wrong="2 * strength / L"),
    _wavelet("approximation", right="taken[..., : corner[0], : corner[1]] = 0", wrong=""),
    _wavelet("step", right="f.T(f(z) - y) / L", wrong="f.T(f(z) - y) / 2 / L"),
    _wavelet("no momentum", right="(before - 1) / t", wrong="0.0"),
    _pan("half the first weight", right="b = 2 * mu", wrong="b = mu"),
    _pan("channels apart", right="ANY.sum(1, keepdim=True) >= mu / b", wrong="ANY >= mu / b"),
    _pan("no conjugate", right="K.conj()", wrong="K"),
    _wirtinger("step", right="At(excess * field)", wrong="2 * At(excess * field)"),
    _wirtinger("length", right="y.sum(2, keepdim=True) / g", wrong="y.sum(2, keepdim=True)"),
    _wirtinger("no spectral weights", right="At(y * A(v))", wrong="At(A(v))"),
    _sqp("equations as inequalities", right="torch.where(ANY, 0.0, -1.0)", wrong="torch.where(ANY, 0.0, 0.0)"),
    _sqp("no other side of an equation", right="self.least * c.clamp(max=0)", wrong="0 * c"),
    _sqp("slope of an equation", right="self.least * (F[:, 1:] < 0)", wrong="0 * F[:, 1:]"),
    _sqp(
        "multipliers without a sign",
        module="optimisers.qp",
        right="torch.maximum(ANY, low[i])",
        wrong="ANY.clamp(min=0)",
    ),
    _sqp("the sign of rounding", right="ROUNDING = 1e-13", wrong="ROUNDING = -1.0", witness="rounding"),
    _sqp("nothing is forgotten", right="ANY & (at >= h - count)", wrong="ANY", witness="rounding"),
    _lbfgs("no scaling", right="q = self.gamma[:, None] * q", wrong=""),
    _lbfgs("sign", right="a_j - r * ANY", wrong="a_j + r * ANY"),
    _lbfgs("wrong slot", right="self.count - j", wrong="self.count - j - 1"),
    _lbfgs(
        "one inner product for the batch",
        module="common.algebra",
        right="(a * b).flatten(1).sum(1)",
        wrong="(a * b).sum().expand(len(a))",
    ),
]
