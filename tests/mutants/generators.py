"""Broken variants of what looks for codes of a generator, and for neighbours."""

from tests.mutants import Mutant

BROKEN: dict[str, dict[str, tuple[str, str]]] = {
    "csgm.csgm": {
        "no weight on the code": ("lam * energy(z[r])", "0 * energy(z[r])"),
        "the worst start": ("loss.argmin(0)", "loss.argmax(0)"),
        "the first start": ("loss.argmin(0)", "0 * loss.argmin(0)"),
        "the image before the last step": ("return best(*images())", "return best(x, loss)"),
        "the best start of the batch": ("loss.argmin(0)", "loss.sum(1).argmin().expand(x.shape[1])"),
        "one start for all": ("codes(ANY, ANY1, restarts)", "codes(ANY, ANY1, 1).repeat(1, restarts, 1)"),
    },
    "ilo.ilo": {
        "the code leaves its sphere": ("h * each(norm(centre) / norm(h), h)", "h"),
        "no ball": ("centre + l1_ball(h - centre, radius)", "h"),
        "the ball round zero": ("centre + l1_ball(h - centre, radius)", "l1_ball(h, radius)"),
        "the radius for all entries": ("radius * size.shape[1]", "radius"),
        "a threshold too many": ("over.gather(1, kept - 1)", "over.gather(1, (kept - 2).clamp(min=0))"),
        "the last iterate": ("where(loss < least, x_hat, x)", "x_hat.detach()"),
        "the best of all layers": ("ANY.new_full(ANY1, ANY2)", "least if layer else least + ANY2"),
        "one step for all iterations": ("lr * ramp(passed)", "lr"),
        "the step of the whole run": ("ramp(passed)", "ramp(k / len(layers))"),
        "loss over the batch": ("loss < least", "loss.sum() < least.sum()"),
    },
    "aipo.aipo": {
        "lam at once": ("lam * (k // iterations) / (rounds - 1)", "lam"),
        "lam falls": ("k // iterations", "rounds - 1 - k // iterations"),
        "lam never reached": ("(rounds - 1)", "rounds"),
        "from zero": ("G.encode(ANY)", "(0 * G.encode(ANY)[0], None)"),
        "the adjoint for the inverse": ("start == 'pinv'", "start != 'pinv'"),
    },
    "nearest_neighbour.nearest_neighbour": {
        "the farthest": ("far.sort(dim=1, stable=True)", "far.sort(dim=1, stable=True, descending=True)"),
        "one too many": ("ANY[:, :k]", "ANY[:, : k + 1]"),
        "measurement for image": ("by == 'image'", "by != 'image'"),
        "one map for all": ("alike(f)", "True"),
        "chunks begin anew": ("slice(begins[step], begins[step] + chunk)", "slice(0, min(chunk, n))"),
        "one neighbour of them": ("ANY.mean(0)", "ANY[0]"),
        "the norm of b left out": ("ANY + b.square().sum(1)", "ANY"),
    },
}  # fmt: skip
SHARED: dict[str, tuple[str, str]] = {
    "hidden entries count": ("valid is None", "True"),
    "a sum for a mean": ("squares.flatten(1).mean(1)", "squares.flatten(1).sum(1)"),
    "the norm, not squared": ("z.square().flatten(1).sum(1)", "z.flatten(1).norm(dim=1)"),
}

MUTANTS = [
    *(
        Mutant(name, f"datarich.{solver}", *change)
        for solver, changes in BROKEN.items()
        for name, change in changes.items()
    ),
    *(
        Mutant(name, "datarich.csgm.csgm", *change, module="datarich.generators", witness="everywhere")
        for name, change in SHARED.items()
    ),
]
