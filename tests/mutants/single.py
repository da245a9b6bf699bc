"""Broken variants of the single-instance solvers."""

from tests.mutants import Mutant

HOURGLASS = {"module": "single.layers", "through": ("single.hourglass",)}
LAYERS = {"module": "single.layers"}
BATCHED = (
    "F.batch_norm(folded, None, None, self.weight.flatten(), self.bias.flatten(), training=True).view_as(x)",
    "F.batch_norm(x, None, None, training=True)",
)
IDLE = ("it does not learn", "loss.sum().backward()", "(0 * loss.sum()).backward()")


def idle(solver: str) -> Mutant:
    """The loop of all untrained networks without its gradient."""
    name, right, wrong = IDLE
    return Mutant(name, solver, right, wrong, module="single.fit")


MUTANTS = [
    Mutant("norm over the batch", "single.dip.dip", *BATCHED, **HOURGLASS),
    Mutant("zeros around the image", "single.dip.dip", "reflect(x, self.pad)", "F.pad(x, [self.pad] * 4)", **HOURGLASS),
    Mutant(
        "the output at a perturbed z",
        "single.dip.dip",
        "afresh(estimate, G, lambda: 2 * G(z) - 1)",
        "afresh(estimate, G, lambda: 2 * G(feed()) - 1)",
    ),
    Mutant("weights that never go back", "single.dip.dip", "where(fallen, kept, parameter)", "parameter",
           module="single.fit"),
    Mutant("through f all the same", "single.dip.dip", "(lambda x: x) if bypass_f else problem.f", "problem.f",
           module="single.fit"),
    idle("single.dip.dip"),
    Mutant("norm over the batch", "single.deep_decoder.deep_decoder", *BATCHED, **LAYERS),
    Mutant(
        "the other order",
        "single.deep_decoder.deep_decoder",
        "[*self.sizes[1:], self.sizes[-1]] if self.conv_first else self.sizes",
        "self.sizes if self.conv_first else [*self.sizes[1:], self.sizes[-1]]",
    ),
    Mutant("the weights of the last step", "single.deep_decoder.deep_decoder", "afresh(estimate, G, ANY)",
           "Estimate(2 * G(z).detach() - 1, stopped=estimate.stopped)"),
    idle("single.deep_decoder.deep_decoder"),
    Mutant(
        "another padding",
        "single.conv_decoder.conv_decoder",
        "F.pad(x, (1, 1, 1, 1))",
        "F.pad(x, (1, 1, 1, 1), 'reflect')",
    ),
    Mutant(
        "one scale for the batch",
        "single.conv_decoder.conv_decoder",
        "each(step.abs() * norm(back) / norm(x), x)",
        "(step.abs() * norm(back) / norm(x)).mean() * torch.ones_like(x[:, :1, :1, :1])",
    ),
    Mutant("the weights of the last step", "single.conv_decoder.conv_decoder", "afresh(estimate, G, image)",
           "replace(estimate, x=image().detach())"),
    idle("single.conv_decoder.conv_decoder"),
    Mutant("half a divergence", "single.dip_sure.dip_sure", "2 * sigma**2 * divergence", "sigma**2 * divergence"),
    Mutant("sigma not squared", "single.dip_sure.dip_sure", "2 * sigma**2 * divergence", "2 * sigma * divergence"),
    Mutant("the other sign", "single.dip_sure.dip_sure", "2 * sigma**2 * divergence", "-2 * sigma**2 * divergence"),
    Mutant("a gradient four times as large", "single.dip_sure.dip_sure", "esure(x, y, ANY, sigma) / 4",
           "esure(x, y, ANY, sigma)"),
    idle("single.dip_sure.dip_sure"),
    Mutant("Adam", "single.dop.dop", "torch.optim.SGD(groups)", "torch.optim.Adam(groups, lr=0.01)"),
    Mutant("no negative corruption", "single.dop.dop", "ANY - h.square()", "ANY + h.square()"),
    Mutant("a rate for any size", "single.dop.dop", "lr_c * y[0].numel() / PUBLISHED_SIZE", "lr_c / 1024"),
    idle("single.dop.dop"),
    Mutant("image moved with the kernel", "single.double_dip.double_dip", "moved(x, by, edge=True)",
           "moved(x, -by, edge=True)", module="common.shifts"),
    Mutant("kernel moved away", "single.double_dip.double_dip", "moved(k, -by, edge=False)",
           "moved(k, by, edge=False)", module="common.shifts"),
    Mutant("both the other way", "single.double_dip.double_dip", "ANY - by[:, axis, None]",
           "ANY + by[:, axis, None]", module="common.shifts"),
    Mutant("a kernel that is not learnt", "single.double_dip.double_dip", "0.1 if ANY else 1e-4", "1e-6"),
    Mutant("no phase", "single.double_dip_phase.double_dip_phase", "a * turn[1]", "0 * turn[1]"),
    Mutant("convolutions that learn", "single.drp.drp", "parameter.requires_grad_(False)", "None"),
    Mutant("norm over the batch", "single.drp.drp", *BATCHED, **HOURGLASS),
    idle("single.drp.drp"),
    Mutant("weights 30 times too large", "single.inr.siren", "(6 / n) ** 0.5 / omega", "(6 / n) ** 0.5",
           module="single.fields"),
    Mutant("weights half as large", "single.inr.siren", "(6 / n) ** 0.5 / omega", "(6 / n) ** 0.5 / omega / 2",
           module="single.fields"),
    Mutant("shared weights", "single.inr.hash_grid", "x @ self.weight", "x @ self.weight.mean(0, keepdim=True)",
           module="single.fields"),
    idle("single.inr.siren"),
    idle("single.inr.fourier_features"),
    idle("single.inr.hash_grid"),
    Mutant("one step more of the squared error", "single.selfdeblur.selfdeblur", "ANY < mse_iterations",
           "ANY <= mse_iterations"),
    Mutant("another zero of SSIM", "single.selfdeblur.selfdeblur", "1 - ssim(y_hat, y)", "2 - ssim(y_hat, y)"),
    Mutant("every pixel seen by every other", "single.selfdeblur.selfdeblur", "F.max_pool2d(part(x), 2)", "part(x)"),
    Mutant("a squared error four times as large", "single.selfdeblur.selfdeblur", "(y_hat - y) / 2", "y_hat - y"),
    Mutant("a kernel that is not learnt", "single.selfdeblur.selfdeblur", "lr_kernel", "1e-7"),
    idle("single.selfdeblur.selfdeblur"),
    Mutant("another norm", "single.spectral_dip.spectral_dip",
           "torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0).sqrt()", "W.flatten(1).norm(dim=1)"),
    Mutant("one bound for the batch", "single.spectral_dip.spectral_dip", "self.norm(ANY)",
           "self.norm(ANY).amax().expand(len(W))"),
    idle("single.spectral_dip.spectral_dip"),
    Mutant("SQP without its box", "single.constrained.constrained", "ANY.sin()", "ANY.clone()",
           module="optimisers.constrained"),
    Mutant("multipliers without their box", "single.constrained.constrained", "ANY.clamp_(-1, 1)", "ANY",
           module="optimisers.constrained"),
]  # fmt: skip
