"""The tests run whether or not this package is installed."""

from pathlib import Path

from sipbench.configs import names, plug_in

if "rollback" not in names("method"):
    plug_in(Path(__file__).parents[1] / "sipbench_example")
