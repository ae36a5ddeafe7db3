"""README keeps its word: its commands run, its pictures and links are there, and it stays short."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()
DOCS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)
SHELL = [line for kind, body in BLOCKS if kind == "sh" for line in body.splitlines() if line.strip()]
TO_TRY = TEXT[: TEXT.index("## Figures")]
IN_TABLES = [c for line in TO_TRY.splitlines() if line.startswith("|") for c in re.findall(r"`(weft [^`]+)`", line)]
SET_UP = "pip install uv && uv run "
FIRST = 'weft run text-to-image prompt="a red circle above a blue square on white"'
TWO = [f"{SET_UP}{FIRST}", f"{SET_UP}pytest"]


def test_it_begins_with_a_picture_and_two_commands():
    assert SHELL[:2] == TWO
    assert TEXT.index("![") < TEXT.index("```sh") < TEXT.index("\n## ")


def test_it_is_short():
    assert len(TEXT.splitlines()) < 250


def commands():
    """Every command of README, in order, without the part that sets up; pytest itself is what runs this test."""
    lines = [line.removeprefix(SET_UP) for line in [*SHELL, *IN_TABLES]]
    return list(dict.fromkeys(line for line in lines if line != "pytest"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the workflow that README shows, in which its commands run one after another."""
    folder = tmp_path_factory.mktemp("readme")
    (shown,) = (body for kind, body in BLOCKS if kind == "json")
    json.loads(shown)
    (folder / "digit.json").write_text(shown)
    return folder


def test_its_commands_run_one_after_another(workplace, monkeypatch, capfd):
    monkeypatch.chdir(workplace)
    for command in commands():
        words = shlex.split(command)
        assert words[0] == "weft"
        code = cli.main(words[1:])
        found = capfd.readouterr()
        # `weft diff` says with 1 that the two differ, as these do.
        assert code == (1 if words[1] == "diff" else 0), f"{command}: {found.err}"
        assert found.out, command
        if words[1] == "run" and "--help" not in words and "--json" not in words:
            assert all((workplace / line).is_file() for line in found.out.splitlines()), command


def test_its_python_runs(workplace, monkeypatch):
    (code,) = (body for kind, body in BLOCKS if kind == "python")
    shown = code.replace(".show()", ".load()")
    assert shown != code
    subprocess.run([sys.executable, "-c", shown], cwd=workplace, check=True, env=_environment(monkeypatch))


def _environment(monkeypatch):
    import os

    monkeypatch.delenv("PYTHONPATH", raising=False)
    return dict(os.environ)


@pytest.mark.parametrize("page", DOCS, ids=lambda p: p.name)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target
