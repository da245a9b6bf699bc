"""The tests of tables read Table 1 as it is where one of its methods is not there yet."""

import pytest

from sipbench import configs
from sipbench.report import figures

ABSENT = "admm_pnp"


@pytest.fixture(scope="module", autouse=True)
def absent():
    """The list of methods without one of them."""
    names = configs.names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configs, "names", lambda group: [n for n in names(group) if (group, n) != ("method", ABSENT)])
        yield


@pytest.fixture
def written(monkeypatch):
    """The figures that would be written, drawn."""
    kept = []

    def keep(figure, path):
        figure.draw_without_rendering()
        kept.append(figure)
        return []

    monkeypatch.setattr(figures, "write", keep)
    return kept
