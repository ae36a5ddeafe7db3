"""weft.toml: whose folders count, in which order, and what a project's file may not say."""

from pathlib import Path

import pytest

from engine.errors import WeftError
from engine.places import allowed, places, searched


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "own").mkdir()
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "own"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "own" / "weft.toml"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "deep" / "er").mkdir(parents=True)
    return tmp_path / "project" / "weft.toml"


def test_without_files_nothing_is_named(own: Path, project: Path) -> None:
    assert places(project.parent) == places(Path())
    assert allowed(["a"], project.parent) == (Path("a"),)


def test_the_projects_folders_come_before_ones_own(own: Path, project: Path, tmp_path: Path) -> None:
    own.write_text('models = ["~/models", "/shared"]\nallow = ["~/Pictures"]')
    project.write_text('models = ["models", "/shared"]\nallow = ["pictures"]')
    found = places(project.parent / "deep" / "er")
    assert found.models == (project.parent / "models", Path("/shared"), tmp_path / "home" / "models")
    assert found.allow == (project.parent / "pictures", tmp_path / "home" / "Pictures")
    assert found.files == (project, own)
    assert allowed(["x"], project.parent) == (Path("x"), *found.allow)
    assert searched(["x"], project.parent) == (Path("x"), *found.allow, *found.models)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("models = [", "Invalid value (at end of document)", "mend it"),
        ("model = []", '"model" is no setting', 'did you mean "models"'),
        ('models = "x"', "models is not a list of folders", 'write models = ["~/folder"]'),
        ('allow = ["a", ""]', "allow is not a list of folders", "write allow"),
        ("allow = [1]", "allow is not a list of folders", "write allow"),
        ('models = ["a\\u0000b"]', "models is not a list of folders", "write models"),
        ('allow = ["/etc"]', 'a project may not allow "/etc", which lies outside it', "or give --allow"),
        ('allow = [".."]', "which lies outside it", "own/weft.toml"),
        ("\x1b[2J", "⟨U+001B⟩", "mend it"),
    ],
)
def test_what_is_wrong_is_told(own: Path, project: Path, text: str, what: str, hint: str) -> None:
    project.write_text(text)
    with pytest.raises(WeftError) as found:
        places(project.parent)
    (problem,) = found.value.problems
    assert (problem.code, problem.exit_code) == ("E-CONFIG", 2)
    assert what in problem.what or text.startswith("\x1b")
    assert hint in problem.hint
    assert "\x1b" not in str(problem)
    assert str(project) in str(problem)


def test_a_link_out_of_the_project_is_outside_it(own: Path, project: Path, tmp_path: Path) -> None:
    (project.parent / "link").symlink_to(tmp_path)
    project.write_text('allow = ["link"]')
    with pytest.raises(WeftError, match="which lies outside it"):
        places(project.parent)


def test_ones_own_file_may_allow_anything_also_as_that_of_the_project(own: Path) -> None:
    own.write_text('allow = ["/etc"]')
    assert places(own.parent).allow == (Path("/etc"),)
    assert places(own.parent).files == (own,)
