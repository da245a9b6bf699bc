"""The tests of tables read Table 1 as it is where one of its methods is not there yet."""

import pytest

from sipbench import configs

ABSENT = "admm_pnp"


@pytest.fixture(scope="module", autouse=True)
def absent():
    """The list of methods without one of them."""
    names = configs.names
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(configs, "names", lambda group: [n for n in names(group) if (group, n) != ("method", ABSENT)])
        yield
