"""The house rules that can be checked: which way imports point, what stays light, how files look, named cases."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("engine", "diffusion", "nodes", "commands", "tui")
SOURCES = sorted([ROOT / "cli.py", *(p for package in PACKAGES for p in (ROOT / package).rglob("*.py"))])
FOLDERS = (".ci", "benchmarks", "docs", "models", "tests", "workflows", *PACKAGES)
KINDS = (".py", ".md", ".json", ".toml", ".sh", ".txt", ".svg", "")
TEXTS = [
    *(ROOT / name for name in ("README.md", "cli.py", "pyproject.toml")),
    *sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in KINDS and path.is_file() and "__pycache__" not in path.parts
    ),
]

HEAVY = {"torch", "torchvision", "diffusers", "transformers", "numpy", "peft", "safetensors", "sklearn", "matplotlib"}

# Each package, and what it may import of ours beside itself.
MAY = {
    "engine": set[str](),
    "diffusion": set[str](),
    "nodes": {"engine", "diffusion"},
    "commands": {"engine", "nodes"},
    "tui": {"engine", "nodes", "commands"},
    "cli": {"engine", "nodes", "commands", "tui"},
}


def ids(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(tree: ast.AST) -> Iterator[str]:
    """The first part of every module that is imported anywhere in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_imports_point_one_way(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0].removesuffix(".py")
    ours = {name for name in imports(parsed(path)) if name in MAY}
    assert ours <= MAY[package] | {package}


@pytest.mark.parametrize("path", [p for p in SOURCES if "engine" in p.relative_to(ROOT).parts[:1]], ids=ids)
def test_the_engine_knows_no_tensors(path: Path) -> None:
    assert not {*imports(parsed(path))} & (HEAVY - {"safetensors"})


@pytest.mark.parametrize("path", [*SOURCES, *(ROOT / "tests").rglob("*.py")], ids=ids)
def test_a_file_has_one_subject(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@pytest.mark.parametrize("path", SOURCES, ids=ids)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = parsed(path)
    bare = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                bare.append(node.name)
            if isinstance(node, ast.ClassDef):
                bare += [f"{node.name}.{m.name}" for m in node.body if _needs_words(node, m)]
    assert bare == []


def _needs_words(cls: ast.ClassDef, member: ast.stmt) -> bool:
    """Whether a member of a public class has to say what it does. A node's `run` does what the node's docstring says,
    and what overrides a method is described where that is declared."""
    if not isinstance(member, ast.FunctionDef) or member.name.startswith("_") or ast.get_docstring(member):
        return False
    return not cls.bases


LIGHT = {
    "engine": ("import engine", set[str]()),
    "a model's folder": ("import diffusion.folder, nodes.sources", {"pydantic"}),
    "cli": ("import cli", {"pydantic", "networkx", "rich"}),
    "nodes": ("import nodes; list(nodes.registry().classes())", {"networkx"}),
    "the first screen": (
        "import tui.app, tui.screens.main",
        {"networkx", "textual.widgets._text_area", "huggingface_hub"},
    ),
    "checking": (
        "import nodes; from engine.compile import check; from engine.document import from_value;"
        "check(from_value({'format': 1, 'nodes': {'a': {'type': 'Integer'}}}), nodes.registry())",
        {"networkx", "PIL", "rich"},
    ),
}


@pytest.mark.parametrize("what", LIGHT)
def test_what_starts_quickly_imports_nothing_heavy(what: str) -> None:
    code, more = LIGHT[what]
    found = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    assert not {*found} & (HEAVY | more)


# Folders of one machine, and of those who build this, which no file may name.
_ELSEWHERE = re.compile("/(?:" + "|".join(("work", "tmp/br" + "ief", "ro" + "ot", "home", "Users")) + r")/[A-Za-z.]")


@pytest.mark.parametrize("path", TEXTS, ids=ids)
def test_no_file_names_a_place_of_one_machine(path: Path) -> None:
    found = _ELSEWHERE.search(path.read_text(encoding="utf-8", errors="replace"))
    assert found is None, found


# The behaviours that the project promises; each has a test that carries its id in its name.
CASES = [
    *(f"g{n}" for n in (1, 2, 3, 5, 11, 12, 13, 14, 15, 16, 19, 20, 21, 22, 23, 24, 25)),
    *(f"s{n}" for n in (1, 3, 5, 7, 8, 11, 12, 15, 16, 17, 18, 19)),
    *(f"k{n}" for n in range(1, 13)),
    *(f"b{n}" for n in range(1, 9)),
    *(f"m{n}" for n in range(1, 12)),
]


def named() -> set[str]:
    """The ids in the names of tests and of the rows of their tables."""
    found: set[str] = set()
    for path in (ROOT / "tests").rglob("test_*.py"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r"def test_(\w+)|\"((?:[a-z]\d+_)+\w*)\"", text):
            found.update(re.findall(r"(?:^|_)([gskbm]\d+)(?=_|$)", "".join(name)))
    return found


@pytest.mark.parametrize("case", CASES)
def test_every_case_is_named_by_a_test(case: str) -> None:
    assert case in named()
