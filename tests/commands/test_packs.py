"""Packages that add nodes: one that is made, one that is broken, one that is absent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Weft

from engine.errors import WeftError
from engine.registry import Pack, Registry

ROOT = Path(__file__).parent.parent.parent


def install(site: Path, name: str, module: str, code: str) -> None:
    """A package as an installer leaves it: its code, and the metadata that names its entry point."""
    (site / f"{module}.py").write_text(code)
    announce(site, name, f"{module}:PACK")


def announce(site: Path, name: str, place: str) -> None:
    info = site / f"{name.replace('-', '_')}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[weft.nodes]\n{name} = {place}\n")


def test_a_made_pack_passes_its_test_and_its_node_is_found(weft: Weft, tmp_path: Path) -> None:
    made = weft("new", "--node-pack", "weft-fox")
    assert (made.code, made.out.strip()) == (0, "weft-fox")
    pack = tmp_path / "weft-fox"
    announce(pack, "weft-fox", "weft_fox:PACK")
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(pack), str(ROOT)]), "WEFT_CACHE": str(tmp_path / "cache")}
    tested = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "."], cwd=pack, env=env,
                            capture_output=True, text=True, check=False)  # fmt: skip
    assert "2 passed" in tested.stdout, tested.stdout
    code = """
import nodes
from engine.share.code import about
from engine.registry import Registry
known = nodes.registry()
pack = known.get("Posterize").pack
print(pack.name, about(pack)["version"], len(about(pack)["code"]), known.broken, sorted(known.packs()))
"""
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
    )
    assert told.stdout.split(None, 3) == ["weft-fox", "1.2", "64", "{} ['weft', 'weft-fox']\n"]
    listed = subprocess.run([sys.executable, str(ROOT / "cli.py"), "nodes", "Posterize"], cwd=tmp_path, env=env,
                            capture_output=True, text=True, check=True)  # fmt: skip
    assert "y = round((n - 1) x) / (n - 1)" in listed.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--node-pack", "no/name"], 2, 'E-NAME: "no/name" is no name for a package'),
        (["--node-pack", "../x"], 2, "is no name for a package"),
        (["--node-pack", "engine"], 2, '"engine" is taken by another package'),
        (["--node-pack", "json"], 2, "is taken by another package"),
        (["--node-pack", "fox", "a", "b"], 2, "--node-pack takes one folder at most"),
        ([], 2, "TEMPLATE and FILE missing"),
        (["ddpm-digits"], 2, "FILE missing"),
    ],
)
def test_what_makes_no_pack(weft: Weft, words: list[str], code: int, said: str) -> None:
    got = weft("new", *words)
    assert (got.code, said in got.err) == (code, True), got.err


def test_a_folder_that_is_there_is_kept(weft: Weft, tmp_path: Path) -> None:
    (tmp_path / "fox").mkdir()
    assert "is there already, and is kept" in weft("new", "--node-pack", "fox").err
    assert list((tmp_path / "fox").iterdir()) == []


BROKEN = {
    "raises": ("raise RuntimeError('no \\x1b[2J luck')", "RuntimeError: no ⟨U+001B⟩[2J luck"),
    "leaves": ("raise SystemExit(3)", "SystemExit: 3"),
    "is-none": ("PACK = 3", "TypeError: the entry point gives int"),
    "absent": ("", "AttributeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_pack_does_not_take_weft_down(name: str, tmp_path: Path) -> None:
    code, said = BROKEN[name]
    site = tmp_path / "site"
    site.mkdir()
    install(site, f"pack-{name}", f"pack_{name.replace('-', '_')}", code)
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)])}
    (tmp_path / "x.json").write_text('{"format": 1, "nodes": {"a": {"type": "Fox"}}}')

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, str(ROOT / "cli.py"), *words]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)

    checked = run("check", "x.json")
    assert checked.returncode == 2
    assert (
        f'E-NODE x.json:1:39 a.type: "Fox" is not a node type; the package "pack-{name}" did not load: {said}'
        in checked.stderr
    )
    assert "Traceback" not in checked.stderr
    assert "CFG" in run("nodes").stdout


def test_a_module_that_does_not_load_is_left_out_of_lists_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_pack.py").write_text("raise ValueError('half')")
    monkeypatch.syspath_prepend(str(tmp_path))
    known = Registry([Pack("half", {"half_pack": ("Half",)})])
    assert list(known.classes()) == []
    assert known.broken == {"half": "the module half_pack of node Half does not load: ValueError: half"}
    with pytest.raises(WeftError, match="reinstall or mend half"):
        known.get("Half")


def test_the_packs_of_a_lock_that_are_not_here_are_named(tmp_path: Path) -> None:
    known = Registry([Pack("here", {})])
    known.add_pack(Pack("here", {"x": ("Y",)}))
    (problem,) = known.absent({"here": {"version": "1"}, "weft-\x1b": {"version": "0.3"}})
    assert (problem.code, problem.exit_code) == ("E-NODE", 3)
    assert problem.what == 'its nodes come from "weft-⟨U+001B⟩" 0.3, which is not here'
    assert problem.hint == "install it, if you trust it: weft runs its code"
