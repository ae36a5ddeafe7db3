"""Names of files from a workflow: none leads out of its folder, none hides anything, templates only fill in names."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import MissingError, Problem, UnsafeError, WeftError, WorkflowError
from engine.paths import expand_template, resolve_input, resolve_output, safe_name

NFC, NFD = "caf\u00e9.png", "cafe\u0301.png"
OUTSIDE = "is outside the input folder; put the file beside the workflow, or allow its folder"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A workflow's folder with a few files, beside one that it may not use."""
    here = tmp_path / "flows"
    for folder in (here / "sub", tmp_path / "flows-private", tmp_path / "data"):
        folder.mkdir(parents=True)
    for file in (
        here / "fox.png",
        here / "sub" / "cat.png",
        tmp_path / "flows-private" / "key",
        tmp_path / "data" / "d.png",
    ):
        file.write_text("x")
    (here / "link-in.png").symlink_to("fox.png")
    (here / "link-out.png").symlink_to(tmp_path / "flows-private" / "key")
    (here / "link-nowhere.png").symlink_to("/nonexistent/file")
    (here / "folder-out").symlink_to(tmp_path / "flows-private")
    return here


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("fox.png", "fox.png"),
        ("sub/cat.png", "sub/cat.png"),
        ("sub\\cat.png", "sub/cat.png"),
        ("./sub/../fox.png", "fox.png"),
        ("link-in.png", "fox.png"),
    ],
)
def test_a_file_in_the_folder_is_found(value: str, expected: str, base: Path) -> None:
    assert resolve_input(value, base) == base / expected


def test_a_file_in_an_allowed_folder_is_found(base: Path) -> None:
    data = base.parent / "data"
    assert resolve_input("../data/d.png", base, [data]) == data / "d.png"
    assert resolve_input(str(data / "d.png"), base, [data]) == data / "d.png"
    assert resolve_input("link-out.png", base, [base.parent / "flows-private"]) == base.parent / "flows-private" / "key"


def test_a_folder_reached_through_a_link_holds_its_files(base: Path) -> None:
    (base.parent / "alias").symlink_to(base)
    assert resolve_input("sub/cat.png", base.parent / "alias") == base / "sub" / "cat.png"


@pytest.mark.parametrize(
    "value",
    [
        "../../x",
        "/etc/passwd",
        "/nonexistent/file",
        "C:\\x",
        "c:x",
        "\\\\srv\\s",
        "//srv/s",
        "..\\x",
        "~/x",
        "~root",
        "file:///etc/passwd",
        "FILE:x",
        "../flows-private/key",
        "sub/../../flows-private/key",
        "sub\\..\\..\\flows-private\\key",
        "..",
    ],
)
def test_b61_a_path_that_leads_out_is_refused(value: str, base: Path) -> None:
    with pytest.raises(UnsafeError) as caught:
        resolve_input(value, base)
    assert str(caught.value) == f'E-PATH: "{value}" {OUTSIDE}'
    assert caught.value.exit_code == 5


def test_b61_an_absolute_path_needs_an_allowed_folder(base: Path) -> None:
    with pytest.raises(UnsafeError, match="is outside the input folder"):
        resolve_input(str(base / "fox.png"), base)


@pytest.mark.parametrize("value", ["link-out.png", "link-nowhere.png", "folder-out/key", "folder-out/absent"])
def test_b62_a_link_that_leads_out_is_refused(value: str, base: Path) -> None:
    with pytest.raises(UnsafeError) as caught:
        resolve_input(value, base)
    expected = "is a link that leaves the folder; copy the file into it, or allow the folder that the link leads to"
    assert str(caught.value) == f'E-PATH: "{value}" {expected}'


@pytest.mark.parametrize("value", ["http://x.org/a.png", "HTTPS://x", "s3://b/k", "data:image/png;base64,AA"])
def test_b65_a_web_address_is_not_fetched(value: str, base: Path) -> None:
    with pytest.raises(WorkflowError) as caught:
        resolve_input(value, base)
    expected = f'E-URL: "{value}" is a web address; workflows do not fetch; download it and add the file'
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("value", "shown", "contains", "safe"),
    [
        ("fox\u202egnp.exe", "fox⟨U+202E⟩gnp.exe", "⟨U+202E⟩", "fox_gnp.exe"),
        ("sub/a\nb.png", "sub/a⟨U+000A⟩b.png", "⟨U+000A⟩", "sub/a_b.png"),
        ("a\0.png", "a⟨U+0000⟩.png", "⟨U+0000⟩", "a_.png"),
        ("a\u200b.png", "a⟨U+200B⟩.png", "⟨U+200B⟩", "a_.png"),
    ],
)
def test_b58_a_name_that_hides_something_is_refused(
    value: str, shown: str, contains: str, safe: str, base: Path
) -> None:
    with pytest.raises(WorkflowError) as caught:
        resolve_input(value, base)
    assert str(caught.value) == f'E-NAME: "{shown}" contains {contains}; rename the file to "{safe}"'


@pytest.mark.parametrize("value", ["", " ", "/", "\\"])
def test_a_name_of_nothing(value: str, base: Path) -> None:
    with pytest.raises(WorkflowError) as caught:
        resolve_input(value, base)
    assert str(caught.value) == f'E-NAME: "{value}" names no file; give the name of a file'


@pytest.mark.parametrize(
    ("asked", "on_disk", "form"),
    [(NFC, NFD, "decomposed (NFD)"), (NFD, NFC, "composed (NFC)"), (f"é/{NFC}", f"e\u0301/{NFD}", "decomposed (NFD)")],
)
def test_b59_another_spelling_is_found_with_a_note(asked: str, on_disk: str, form: str, base: Path) -> None:
    (base / on_disk).parent.mkdir(exist_ok=True)
    (base / on_disk).write_text("x")
    notes: list[Problem] = []
    assert resolve_input(asked, base, on_note=notes.append).name == Path(on_disk).name
    assert resolve_input(asked, base).name == Path(on_disk).name
    expected = (
        f'W-NAME: "{asked}" was found under another spelling: the name on disk is {form}; '
        "rename the file, or write its name as it is on disk"
    )
    assert [str(n) for n in notes] == [expected]


def test_b59_another_spelling_that_is_a_link_leading_out_is_refused(base: Path) -> None:
    (base / NFD).symlink_to(base.parent / "flows-private" / "key")
    with pytest.raises(UnsafeError, match="is a link that leaves the folder"):
        resolve_input(NFC, base)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("fix.png", 'did you mean "fox.png"?'),
        ("sub/kat.png", 'did you mean "cat.png"?'),
        ("zzzzzzzz/cat.png", 'there is no folder "zzzzzzzz"'),
        ("sub/" + "x" * 300, 'the folder has "cat.png"'),
    ],
)
def test_b66_an_absent_file_names_the_nearest(value: str, hint: str, base: Path) -> None:
    with pytest.raises(MissingError) as caught:
        resolve_input(value, base)
    (problem,) = caught.value.problems
    assert (problem.code, problem.hint, problem.exit_code) == ("E-NOTFOUND", hint, 3)
    assert problem.what.endswith(" is not there")


@given(st.text(max_size=20) | st.text("./\\~:ac\n é", max_size=12))
def test_any_name_is_resolved_inside_or_refused(value: str) -> None:
    here = Path(__file__).parent
    try:
        found = resolve_input(value, here)
    except WeftError:
        return
    assert found.is_relative_to(here.resolve())


@pytest.mark.parametrize("value", ["fox.png", "a/b/c.png", "a\\b.png", "é 1.png", ".x", "a..b.png", "conx.png", "🦊"])
def test_a_good_name_is_written_below_the_folder(value: str, tmp_path: Path) -> None:
    assert resolve_output(value, tmp_path) == tmp_path / value.replace("\\", "/")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["./a//b.png", "a/./b.png"])
def test_empty_parts_of_a_path_go(value: str, tmp_path: Path) -> None:
    assert resolve_output(value, tmp_path).name == "b.png"


@pytest.mark.parametrize(
    "value", ["../x", "a/../../x", "a/..", "/x", "C:\\x", "\\\\srv\\s", "..\\x", "~/x", "file:///x"]
)
def test_b61_nothing_is_written_outside(value: str, tmp_path: Path) -> None:
    with pytest.raises(UnsafeError) as caught:
        resolve_output(value, tmp_path)
    expected = f'E-PATH: "{value}" is outside the output folder; give a name below it; --out chooses the folder'
    assert str(caught.value) == expected


def test_b62_a_link_in_the_output_folder_that_leads_out(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "away").symlink_to(tmp_path)
    with pytest.raises(UnsafeError) as caught:
        resolve_output("away/x.png", out)
    expected = "is a link that leaves the folder; remove the link, or give another folder with --out"
    assert str(caught.value) == f'E-PATH: "away/x.png" {expected}'


UNSAFE = {
    "CON": ('"CON" is the name of a device on Windows', "_CON"),
    "nul.png": ('"nul.png" is the name of a device on Windows', "_nul.png"),
    "Com1.tar.gz": ('"Com1.tar.gz" is the name of a device on Windows', "_Com1.tar.gz"),
    "a/aux /b.png": ('"a/aux /b.png" is the name of a device on Windows', "a/_aux/b.png"),
    "a.": ('"a." ends with a dot or a space', "a"),
    "x ": ('"x " ends with a dot or a space', "x"),
    " x": ('" x" starts with a space', "x"),
    "-rf": ('"-rf" starts with a dash, as an option does', "rf"),
    "a\nb.png": ('"a⟨U+000A⟩b.png" contains ⟨U+000A⟩', "a_b.png"),
    "a\x1b[31m.png": ('"a⟨U+001B⟩[31m.png" contains ⟨U+001B⟩', "a_[31m.png"),
    "a\u202eb.png": ('"a⟨U+202E⟩b.png" contains ⟨U+202E⟩', "a_b.png"),
    "a\ud800.png": ('"a⟨U+D800⟩.png" contains ⟨U+D800⟩', "a_.png"),
    "what?.png": ('"what?.png" contains ?, which Windows does not take', "what_.png"),
    "12:30.png": ('"12:30.png" contains :, which Windows does not take', "12_30.png"),
    "": ('"" names no file', "file"),
    "a/": ('"a/" names no file', "a/file"),
    "x" * 300: (f'"{"x" * 59}…" has 300 bytes, limit 255', "x" * 255),
    "é" * 130 + ".png": (f'"{"é" * 59}…" has 264 bytes, limit 255', "é" * 125 + ".png"),
}


@pytest.mark.parametrize("value", UNSAFE, ids=ascii)
def test_b63_a_name_that_some_system_cannot_hold(value: str, tmp_path: Path) -> None:
    why, safe = UNSAFE[value]
    with pytest.raises(WorkflowError) as caught:
        resolve_output(value, tmp_path)
    assert str(caught.value) == f'E-NAME: {why}; take "{safe}"'
    assert resolve_output(safe, tmp_path) == tmp_path / safe


@given(st.text() | st.text("CONnul.-~ <\n/", max_size=8) | st.text("é.", min_size=120, max_size=300))
def test_b63_every_name_has_a_safe_one(name: str) -> None:
    safe = safe_name(name)
    assert resolve_output(safe, Path("out")) == Path("out") / safe
    assert safe_name(safe) == safe
    assert unicodedata.is_normalized("NFC", safe)


VALUES: dict[str, object] = {"seed": 7, "prompt": "a/b\\c {seed}", "scale": 7.5, "on": True, "index": 3}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("fox.png", "fox.png"),
        ("fox-{seed}.png", "fox-7.png"),
        ("{seed}{index}/{scale}-{on}", "73/7.5-true"),
        ("{prompt}.png", "a_b_c {seed}.png"),
        ("{{seed}}-{{{seed}}}", "{seed}-{7}"),
        ("100% fox, 5%.png", "100% fox, 5%.png"),
    ],
)
def test_expand_template(template: str, expected: str) -> None:
    assert expand_template(template, VALUES) == expected


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ("{n.__init__.__globals__}", "{n.__init__.__globals__}"),
        ("{seed.real}", "{seed.real}"),
        ("{seed[0]}", "{seed[0]}"),
        ("{seed!r}", "{seed!r}"),
        ("{seed:>999999999}", "{seed:>999999999}"),
        ("{seed:{index}}", "{seed:"),
        ("{}", "{}"),
        ("{0}", "{0}"),
        ("{ seed }", "{ seed }"),
        ("{sed}", "{sed}"),
        ("fox{", "{"),
        ("fox}", "}"),
        ("%s.png", "%s"),
        ("%04d.png", "%04d"),
        ("%(seed)s", "%(seed)s"),
        ("%date%", "%date%"),
        ("{a\x1b}", "{a⟨U+001B⟩}"),
    ],
)
def test_b64_a_template_only_fills_in_names(template: str, field: str) -> None:
    with pytest.raises(WorkflowError) as caught:
        expand_template(template, VALUES)
    first = str(caught.value).split("\n")[0]
    allowed = "allowed: {seed} {prompt} {scale} {on} {index}"
    assert first == f'E-TEMPLATE: a file name cannot hold "{field}"; {allowed}'


def test_b64_every_wrong_field_is_named_once() -> None:
    with pytest.raises(WorkflowError) as caught:
        expand_template("{a}{b}{a}%s", {})
    assert [p.what for p in caught.value.problems] == [f'a file name cannot hold "{f}"' for f in ("{a}", "{b}", "%s")]
    assert {p.hint for p in caught.value.problems} == {"allowed: no names"}
