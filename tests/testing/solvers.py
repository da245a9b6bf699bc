"""One solver that keeps the contract, and many that each break one clause of it."""

import random
import time
from dataclasses import replace

import numpy as np
import torch

from sipbench.problem import Estimate

SEEN = []


def good(problem, *, steps=6, lr=0.5):
    x = problem.f.T(problem.y)
    for _ in problem.steps(steps):
        x = x - lr * problem.f.T(problem.f(x) - problem.y)
        problem.show(x)
    return x.clamp(-1, 1)


def with_prior(problem):
    """Denoise A^T y a little: one evaluation."""
    return problem.prior.denoise(problem.f.T(problem.y), problem.prior.times(10)[8])


def raises(problem):
    return problem.y.no_such_thing


def wrong_shape(problem):
    return good(problem).mean(1)


def double(problem):
    return good(problem).double()


def no_tensor(problem):
    return good(problem).numpy()


def not_finite(problem):
    return good(problem) / 0


def wrong_samples(problem):
    x = good(problem)
    return Estimate(x, samples=x)


def unit_range(problem):
    return good(problem).add(1).div(2)


def with_graph(problem):
    return good(problem) * torch.ones((), requires_grad=True)


def talks(problem):
    print("step 1")
    return good(problem)


def writes_y(problem):
    problem.y.mul_(0.5)
    return good(problem)


def writes_mask(problem):
    problem.f.mask[:, :, 0] = 1
    return good(problem)


def moves_fields(problem):
    object.__setattr__(problem, "noise", None)
    return good(problem)


def asks_gradient(problem):
    problem.y.requires_grad_()
    return good(problem).detach()


def turns_gradient_off(problem):
    torch.set_grad_enabled(False)
    return good(problem)


def changes_dtype(problem):
    torch.set_default_dtype(torch.float64)
    return good(problem)


def changes_threads(problem):
    torch.set_num_threads(torch.get_num_threads() + 1)
    return good(problem)


def torch_random(problem):
    return good(problem) + 0.01 * torch.randn_like(problem.y)


def numpy_random(problem):
    return good(problem) + float(np.random.randn())


def python_random(problem):
    return good(problem) + random.random()


def seeds(problem):
    torch.manual_seed(0)
    return good(problem)


def layers(problem):
    net = torch.nn.Conv2d(3, 3, 3, padding=1)
    return net(good(problem)).detach()


def clock(problem):
    return good(problem) + time.perf_counter() % 1


def remembers(problem):
    SEEN.append(problem.y)
    return good(problem) / len(SEEN)


def batch_norm(problem):
    x = good(problem)
    return x / x.norm()


def loud(problem):
    """Feels its neighbour only where that one is loud."""
    x = good(problem)
    return x if problem.y.abs().max() < 3 else 0.9 * x


def first_is_special(problem):
    x = good(problem).clone()
    x[0] *= 0.5
    return x


def own_generator(problem):
    """One stream for the whole batch."""
    generator = torch.Generator().manual_seed(0)
    return good(problem) + 0.1 * torch.randn(problem.shape, generator=generator)


def squeezes(problem):
    return good(problem).squeeze()


def more_when_many(problem):
    for _ in range(len(problem.y)):
        x = problem.prior.denoise(problem.y, problem.prior.times(10)[8])
    return x


def plain_loop(problem):
    x = problem.f.T(problem.y)
    for _ in range(10):
        x = x - 0.5 * problem.f.T(problem.f(x) - problem.y)
    return x


def ignores_the_end(problem):
    x = problem.f.T(problem.y)
    done = list(problem.steps(10))
    for _ in range(10):
        x = x - 0.5 * problem.f.T(problem.f(x) - problem.y)
    return x + 0 * len(done)


def nothing_yet(problem):
    x = torch.full_like(problem.f.T(problem.y), torch.nan)
    for k in problem.steps(4):
        x = problem.f.T(problem.y) if k == 2 else x
    return x


def on_the_cpu(problem):
    return good(problem) + torch.zeros(3, 1, 1)


def takes_y_for_an_image(problem):
    """Right where y has the shape of x, and nowhere else."""
    return problem.y.clamp(-1, 1)


def feels_a_little(problem):
    return good(problem) + 5e-6 * (len(problem.y) - 1)


def single_precision(problem):
    return good(replace(problem, y=problem.y.float())).float()


def needs_net(problem, *, net):
    return net(problem.y)
