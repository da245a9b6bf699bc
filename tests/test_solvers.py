"""The contract of a solver, over every method listed in conf/method and every degradation it can do."""

import pytest

from sipbench import testing
from sipbench.errors import UserError
from tests import listed

AMPLIFIED = {"deblur_defocus", "deblur_motion"}  # A^+ makes noise so large that what starts from it leaves [-1, 1]


@pytest.mark.parametrize("degradation", listed.DEGRADATIONS)
@pytest.mark.parametrize("method", listed.METHODS)
def test_the_contract(method, degradation):
    try:
        findings = testing.check(method, degradation=degradation)
    except UserError as error:
        assert "missing checkpoint" in str(error)
        pytest.skip(str(error))
    if findings[0].status == "SKIP":
        pytest.skip(findings[0].seen)
    fine = [
        f.status == "PASS" or (f.status, f.check) == ("WARN", "range") and degradation in AMPLIFIED for f in findings
    ]
    assert all(fine), testing.render(findings)
