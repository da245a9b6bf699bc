"""Which tests are slow: with `-p tests.timing` (make slow) a whole run of the tests writes tests/slow.txt."""

from collections import Counter
from pathlib import Path

FILE = Path(__file__).with_name("slow.txt")
LIMIT = 0.3  # seconds of a test with all its parameters; what takes longer is not for `make quick`
HEAD = "# Tests that make quick leaves out, measured by make slow: a function, or a whole file.\n"
seconds: Counter[str] = Counter()


def pytest_runtest_logreport(report):
    seconds[report.nodeid.partition("[")[0]] += report.duration


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        FILE.write_text(HEAD + "".join(f"{name}\n" for name in slow(seconds)))


def slow(measured):
    """The slow tests; for a file that holds no other the file."""
    late = {name for name, time in measured.items() if time > LIMIT}
    files = {name.partition("::")[0] for name in measured} - {n.partition("::")[0] for n in measured if n not in late}
    return sorted(files | {name for name in late if name.partition("::")[0] not in files})
