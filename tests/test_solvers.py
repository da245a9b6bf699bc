"""The contract of a solver, over every method listed in conf/method and every degradation it can do."""

import pytest

from sipbench import testing
from sipbench.errors import UserError
from tests import listed

AMPLIFIED = {"deblur_defocus", "deblur_motion"}  # A^+ makes noise so large that what starts from it leaves [-1, 1]


# One of each kind of forward map; the others are run by make fulltest.
KINDS = {
    "sr4", "inpaint70", "deblur_gaussian", "deblur_motion", "colorize", "cs_gaussian", "mri", "ct_sparse",
    "phase_fourier", "hdr", "blind_motion", "turbulence",
}  # fmt: skip


@pytest.mark.parametrize(
    "degradation", [d if d in KINDS else pytest.param(d, marks=pytest.mark.full) for d in listed.DEGRADATIONS]
)
@pytest.mark.parametrize("method", listed.METHODS)
def test_the_contract(method, degradation):
    try:
        findings = testing.check(method, degradation=degradation)
    except UserError as error:
        assert "missing checkpoint" in str(error)
        pytest.skip(str(error))
    if findings[0].status == "SKIP":
        pytest.skip(findings[0].seen)
    lacking = [f.seen for f in findings if "needs the package" in f.seen]
    if lacking:
        pytest.skip(lacking[0])
    fine = [
        f.status == "PASS" or (f.status, f.check) == ("WARN", "range") and degradation in AMPLIFIED for f in findings
    ]
    assert all(fine), testing.render(findings)
