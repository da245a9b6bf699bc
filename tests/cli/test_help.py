"""Every command says with --help what it takes, and nothing heavy is imported for it or for a list."""

import subprocess
import sys

import pytest

from sipbench import cli

PAGES = [[command] for command in cli.COMMANDS] + [
    ["train", "net"],
    ["train", "prior"],
    ["table", "table1"],
    ["method=dps"],
]


@pytest.mark.parametrize("ask", ["--help", "-h"])
@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_20_every_command_says_what_it_takes(words, ask, capsys):
    assert cli.main([*words, ask]) == 0
    out, err = capsys.readouterr()
    assert not err and "Example" in out and "sipbench " in out and ("=" in out or "[--json]" in out)
    assert max(map(len, out.splitlines())) <= 120 and len(out.splitlines()) < 40


def test_20_the_first_page_names_every_command(capsys):
    cli.main(["--help"])
    out = capsys.readouterr().out
    assert all(f"sipbench {command}" in out for command in cli.COMMANDS)


def test_20_help_is_quick():
    program = (
        "import sys; from sipbench import cli\n"
        "for words in ([], *([command] for command in cli.COMMANDS)): cli.main([*words, '--help'])\n"
        "cli.main(['list', 'methods'])\n"
        "heavy = {'torch', 'pandas', 'diffusers', 'hydra', 'wandb', 'lpips', 'torchmetrics', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.parametrize("module", ["sipbench", "sipbench.cli"])
def test_it_runs_as_a_module(module):
    found = subprocess.run([sys.executable, "-m", module, "--version"], check=True, capture_output=True, text=True)
    assert found.stdout.startswith("sipbench ")


def test_a_cell_imports_no_more_than_it_uses(tmp_path):
    """torchmetrics alone takes longer to import than torch; so does torchvision. LPIPS has no weights here."""
    program = (
        "import sys; from sipbench import cli\n"
        "words = ['method=pinv', 'size=32', 'images=1', 'metrics=[psnr,ssim,lpips_alex]']\n"
        f"assert cli.main([*words, 'results={tmp_path}']) == 0\n"
        "heavy = {'diffusers', 'wandb', 'lpips', 'torchmetrics', 'torchvision', 'matplotlib', 'scipy', 'skimage'}\n"
        "heavy |= {'torch._dynamo'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
