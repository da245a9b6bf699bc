"""What the pages of docs/ say is so: commands are understood, figures are those of the committed tables."""

import re

import pytest

from sipbench.errors import UserError
from tests.docs import commands, figures

WITH_COMMANDS = [page for page in commands.PAGES if commands.of(page) and page.name not in commands.RUN_ELSEWHERE]
WITH_FIGURES = [page for page in commands.PAGES if "<!-- figures:" in page.read_text(encoding="utf-8")]


def name(page):
    return page.relative_to(commands.ROOT / "docs").as_posix()


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_every_command_is_understood(page, here):
    assert list(commands.mistakes(page)) == []


@pytest.mark.parametrize(
    "command",
    [
        "sipbench dataset=faces degradation=sr4 method=nosuch",
        "sipbench -m degradation=sr4,nosuch method=tv",
        "sipbench method=dps method.solver.nosuch=1",
        "sipbench table nosuch",
        "sipbench table table1 method=nosuch",
        "sipbench show degradation=nosuch",
        "sipbench fetch nosuch",
        "sipbench list nosuch",
        "sipbench nosuch",
        "make nosuch",
    ],
)
def test_one_that_is_not_understood_is_seen(command):
    with pytest.raises((UserError, AssertionError)):
        commands.understood(command)


def test_commands_are_found_wherever_they_stand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`sipbench table table1` and `sipbench table NAME`\n\n    sipbench doctor     # a remark\n"
        "    A=b sipbench list \\\n      methods\n\n```bash\nmake help\n```\n\n```python\nmake = 1\n```\n"
    )
    assert commands.of(page) == ["make help", "sipbench doctor", "sipbench list methods", "sipbench table table1"]


@pytest.mark.parametrize("page", WITH_FIGURES, ids=name)
def test_the_figures_are_those_of_the_committed_tables(page):
    tables = figures.of(page)
    assert len(tables) == page.read_text(encoding="utf-8").count("<!-- figures:")
    for table in tables:
        assert table.rows == table.expected()


def test_the_families_have_figures():
    assert len(WITH_FIGURES) >= 5


def test_figures_of_several_times_claim_no_one_torch():
    head, _, rest = (commands.ROOT / "docs" / "performance.md").read_text(encoding="utf-8").partition("| what |")
    assert "2026" in rest and not re.search(r"torch \d", head)
