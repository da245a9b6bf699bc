"""The contract of a solver, over every method listed in conf/method and every degradation it can do."""

import pytest

from sipbench import testing
from tests import listed


@pytest.mark.parametrize("degradation", listed.DEGRADATIONS)
@pytest.mark.parametrize("method", listed.METHODS)
def test_the_contract(method, degradation):
    findings = testing.check(method, degradation=degradation)
    if findings[0].status == "SKIP":
        pytest.skip(findings[0].seen)
    assert all(f.status == "PASS" for f in findings), testing.render(findings)
