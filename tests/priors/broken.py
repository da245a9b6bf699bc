"""A module with a mistake in it."""

import inspect


def broken(module, right, wrong):
    """What a module defines once one piece of its source is another."""
    source = inspect.getsource(module)
    assert source.count(right) == 1, right
    names = {"__name__": module.__name__}
    exec(compile(source.replace(right, wrong), "broken", "exec", dont_inherit=True), names)
    return names
