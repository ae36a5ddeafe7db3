"""File names in a workflow: what inputs name, and what templates will write, judged before anything runs."""

from pathlib import Path
from typing import Any

import pytest
from toys import REGISTRY, built, flow, good, told

from engine.bind import bind
from engine.compile import compile
from engine.context import Settings
from engine.document import from_value
from engine.errors import WeftError
from engine.graph import Workflow
from engine.inputs import allowed_for, check_files, folder_files, names_of, one_file

NAMES = "allowed: {steps} {index} {variant}"

TEMPLATES: dict[str, tuple[str, list[str]]] = {
    "plain": ("fox.png", []),
    "names": ("a/{steps}-{index}-{variant}.png", []),
    "braces": ("{{x}}.png", []),
    "b64_unknown": ("{step}.png", [f'E-TEMPLATE wf save.path: a file name cannot hold "{{step}}"; {NAMES}']),
    "b64_two": (
        "{a}-{b}.png",
        [
            f'E-TEMPLATE wf save.path: a file name cannot hold "{{a}}"; {NAMES}',
            f'E-TEMPLATE wf save.path: a file name cannot hold "{{b}}"; {NAMES}',
        ],
    ),
    "b64_attributes": (
        "{n.__init__.__globals__}",
        [f'E-TEMPLATE wf save.path: a file name cannot hold "{{n.__init__.__globals__}}"; {NAMES}'],
    ),
    "b64_a_width": (
        "{steps:>999999999}",
        [f'E-TEMPLATE wf save.path: a file name cannot hold "{{steps:>999999999}}"; {NAMES}'],
    ),
    "b61_out_of_the_folder": (
        "../{steps}.png",
        ['E-PATH wf save.path: "../0000.png" is outside the output folder; '
         "give a name below it; --out chooses the folder"],
    ),
    "b63_a_device": (
        "con.png",
        ['E-NAME wf save.path: "con.png" is the name of a device on Windows; take "_con.png"'],
    ),
    "b63_no_device": ("com{steps}.png", []),
}  # fmt: skip


@pytest.mark.parametrize("case", TEMPLATES)
def test_template(case: str) -> None:
    template, expected = TEMPLATES[case]
    source = {**good(save__path=template, sample__steps="$steps"), "params": {"steps": 3}}
    assert told(source) == expected


GIVEN: dict[str, tuple[dict[str, Any], list[str]]] = {
    "good": ({"words": "a/b"}, []),
    "b63_too_long": (
        {"words": "x" * 300},
        [f'E-NAME wf save.path: "{"x" * 59}…" has 304 bytes, limit 255; take "{"x" * 251}.png"'],
    ),
    "b63_a_newline": (
        {"words": "a\nb"},
        ['E-NAME wf save.path: "a⟨U+000A⟩b.png" contains ⟨U+000A⟩; take "a_b.png"'],
    ),
    "b64_a_template_from_outside": (
        {"save.path": "{x}.png"},
        ['E-TEMPLATE wf save.path: a file name cannot hold "{x}"; allowed: {words} {index} {variant}'],
    ),
    "b61_a_path_from_outside": (
        {"save.path": "/etc/x.png"},
        ['E-PATH wf save.path: "/etc/x.png" is outside the output folder; '
         "give a name below it; --out chooses the folder"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", GIVEN)
def test_a_name_is_judged_with_the_values_of_a_run(case: str) -> None:
    given, expected = GIVEN[case]
    workflow = built({**good(save__path="{words}.png"), "params": {"words": "fox"}})
    if not expected:
        assert bind(workflow, given).values == given
        return
    with pytest.raises(WeftError) as caught:
        bind(workflow, given)
    assert [str(p) for p in caught.value.problems] == expected


def test_a_template_may_itself_be_a_param() -> None:
    workflow = built({**good(save__path="$name"), "params": {"name": "{nam}.png"}})
    with pytest.raises(WeftError) as caught:
        bind(workflow)
    assert caught.value.problems[0].code == "E-TEMPLATE"
    assert bind(workflow, {"name": "{index}.png"}).nodes["save"].literals["path"] == "{index}.png"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A workflow's folder with pictures, and one outside it."""
    inside = tmp_path / "inside"
    for name in ("a.png", "b.PNG", "note.txt", ".hidden.png", "sub/c.jpg", "sub/.git/d.png"):
        path = inside / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(b"x")
    return inside


def test_what_files_are_called_in_a_key(folder: Path) -> None:
    find = folder_files("*.png", "*.jpg")
    assert names_of(one_file("sub/c.jpg", folder)) == ["c.jpg"]
    assert names_of(find(".", folder, ())) == ["inside/a.png", "inside/b.PNG", "inside/sub/c.jpg"]
    assert names_of([]) == []


def test_one_file(folder: Path) -> None:
    assert one_file("sub/c.jpg", folder) == [folder / "sub" / "c.jpg"]


def test_the_files_of_a_folder_come_in_the_order_of_their_paths(folder: Path) -> None:
    find = folder_files("*.png", "*.jpg")
    assert [str(p.relative_to(folder)) for p in find(".", folder, ())] == ["a.png", "b.PNG", "sub/c.jpg"]
    assert find("sub", folder, ()) == [folder / "sub" / "c.jpg"]


WRONG: dict[str, tuple[str, str, str, int]] = {
    "b66_absent": (
        "Open",
        "aa.png",
        'E-NOTFOUND wf x.path: "aa.png" is not there; did you mean "a.png" or "b.PNG"?',
        3,
    ),
    "b61_outside": (
        "Open",
        "../outside.png",
        'E-PATH wf x.path: "../outside.png" is outside the input folder; '
        "put the file beside the workflow, or allow its folder",
        5,
    ),
    "b65_web": (
        "Open",
        "http://x/y.png",
        'E-URL wf x.path: "http://x/y.png" is a web address; workflows do not fetch; download it and add the file',
        2,
    ),
    "a_folder": ("Open", "sub", 'E-NOTFILE wf x.path: "sub" is a directory; name a file in it', 2),
    "a_file": ("OpenAll", "a.png", 'E-NOTFILE wf x.folder: "a.png" is a file; name the folder that it is in', 2),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("by_param", [False, True], ids=["literal", "param"])
def test_what_a_workflow_names_is_looked_for(case: str, by_param: bool, folder: Path) -> None:
    kind, value, expected, exit_code = WRONG[case]
    name = "path" if kind == "Open" else "folder"
    source = flow({"x": {"type": kind, name: "$p" if by_param else value}}, {"p": value} if by_param else {})
    problems = check_files(loaded(source, folder))
    assert [str(p) for p in problems] == [expected.replace(f"x.{name}", "$p") if by_param else expected]
    assert [p.exit_code for p in problems] == [exit_code]


def loaded(source: object, folder: Path) -> Workflow:
    return compile(from_value(source, "wf", folder), REGISTRY, ["x"])


def test_no_file_matches(folder: Path) -> None:
    with pytest.raises(WeftError) as caught:
        folder_files("*.webp", "*.gif")("sub", folder, ())
    assert (
        str(caught.value)
        == 'E-NOTFOUND: "sub" has no file that matches *.webp or *.gif; add some, or name another folder'
    )


def test_b62_a_link_in_a_folder_that_leaves_it(folder: Path) -> None:
    (folder / "sub" / "link.png").symlink_to(folder.parent / "outside.png")
    with pytest.raises(WeftError) as caught:
        folder_files("*.png")("sub", folder, ())
    assert caught.value.problems[0].what == '"sub/link.png" is a link that leaves the folder'
    assert caught.value.exit_code == 5
    assert len(folder_files("*.png")("sub", folder, [folder.parent])) == 1


def test_too_many_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.inputs.FILES_LIMIT", 2)
    with pytest.raises(WeftError) as caught:
        folder_files("*")(".", folder, ())
    assert str(caught.value) == 'E-LIMIT: "." has more than 2 files; split it'


def test_b63_the_name_that_the_defaults_give_is_too_long() -> None:
    source = {**good(save__path="{words}{other}.png", text__text="$other"), "params": {"words": "x" * 300, "other": {}}}
    assert [str(p) for p in check_files(built(source))] == [
        f'E-NAME wf save.path: "{"x" * 59}…" has 308 bytes, limit 255; take "{"x" * 251}.png"'
    ]
    assert check_files(built({**source, "params": {"words": "fox", "other": {}}})) == []


def test_a_value_that_only_a_run_gives_is_not_looked_for(folder: Path) -> None:
    source = flow({"x": {"type": "Open", "path": "$p"}}, {"p": {"about": "which"}})
    assert check_files(loaded(source, folder)) == []


def test_a_path_from_the_command_line_may_lie_anywhere(folder: Path) -> None:
    settings = Settings(folder=folder, allowed=(folder / "sub",), open_paths=frozenset({("x", "path")}))
    outside = folder.parent / "outside.png"
    assert one_file(str(outside), folder, allowed_for(settings, "x", "path")) == [outside]
    assert allowed_for(settings, "y", "path") == (folder / "sub",)
