"""Files that are not what they should be: each is refused at once, with a text that says what to do."""

import io
import os
import socket
import stat
from pathlib import Path

import pytest

from engine import source
from engine.errors import MissingError, Place, WeftError, WorkflowError
from engine.source import Source, read_bytes, read_source


def refusal(path: Path, limit: int = source.LIMIT) -> str:
    with pytest.raises(WeftError) as caught:
        read_source(path, limit, name=path.name)
    assert len(caught.value.problems) == 1
    return str(caught.value)


CONTENTS = {
    "b01_empty": (b"", "E-EMPTY wf.json: the file is empty; expected a workflow"),
    "b01_only_spaces": (b" \n\t\r\n", "E-EMPTY wf.json: the file is empty; expected a workflow"),
    "b01_only_a_mark": (b"\xef\xbb\xbf", "E-EMPTY wf.json: the file is empty; expected a workflow"),
    "b09_utf16_le_mark": ("\ufeff{}".encode("utf-16-le"), "E-ENC wf.json: looks like UTF-16; save as UTF-8"),
    "b09_utf16_be_mark": ("\ufeff{}".encode("utf-16-be"), "E-ENC wf.json: looks like UTF-16; save as UTF-8"),
    "b09_utf16_le": ('{"a": "é"}'.encode("utf-16-le"), "E-ENC wf.json: looks like UTF-16; save as UTF-8"),
    "b09_utf16_be": ('{"a": "é"}'.encode("utf-16-be"), "E-ENC wf.json: looks like UTF-16; save as UTF-8"),
    "b09_utf32_mark": ("\ufeff{}".encode("utf-32-le"), "E-ENC wf.json: looks like UTF-32; save as UTF-8"),
    "b10_first_byte": (b"\xff{}", "E-ENC wf.json:1:1: byte 0xff at offset 0 is not UTF-8; save as UTF-8"),
    "b10_later": (
        b'{\n "a": "\xc3\xa9\xff"}',
        "E-ENC wf.json:2:9: byte 0xff at offset 11 is not UTF-8; save as UTF-8",
    ),
    "b10_after_a_mark": (
        b"\xef\xbb\xbf{\xe9}",
        "E-ENC wf.json:1:2: byte 0xe9 at offset 4 is not UTF-8; save as UTF-8",
    ),
    "b10_surrogate_as_bytes": (
        b'"\xed\xa0\x80"',
        "E-ENC wf.json:1:2: byte 0xed at offset 1 is not UTF-8; save as UTF-8",
    ),
    "b10_cut_inside_a_character": (
        b'"\xe2\x82',
        "E-ENC wf.json:1:2: byte 0xe2 at offset 1 is not UTF-8; save as UTF-8",
    ),
}


@pytest.mark.parametrize("case", CONTENTS)
def test_content_that_is_refused(case: str, tmp_path: Path) -> None:
    data, expected = CONTENTS[case]
    path = tmp_path / "wf.json"
    path.write_bytes(data)
    assert refusal(path) == expected


@pytest.mark.parametrize("text", ["{}", '{"é": "日本 🦊"}\r\n', "[\x00 ]", "1", '"\0\0"'])
def test_utf8_text_is_read_as_it_stands(text: str, tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    path.write_bytes(text.encode())
    assert read_source(path) == Source(str(path), text)


def test_b08_byte_order_mark_is_taken_off_with_a_note(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    read = read_source(path, name="wf.json")
    assert read.text == '{"a": 1}'
    expected = "W-BOM wf.json: starts with a byte order mark, which was ignored; save as UTF-8 without it"
    assert [str(n) for n in read.notes] == [expected]
    assert all(n.is_warning for n in read.notes)


def test_b02_directory(tmp_path: Path) -> None:
    folder = tmp_path / "wf.json"
    folder.mkdir()
    assert refusal(folder) == "E-NOTFILE wf.json: is a directory; give a .json, .png or bundle file"


def test_b03_unreadable_file_names_owner_and_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wf.json"
    path.write_text("{}")
    path.chmod(0o600)

    def closed(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", closed)
    monkeypatch.setattr(Path, "owner", lambda self: "alice")
    assert refusal(path) == "E-PERM wf.json: no permission to read; it belongs to alice, mode 0600"

    def unknown(self: Path) -> str:
        raise KeyError

    monkeypatch.setattr(Path, "owner", unknown)
    user = path.stat().st_uid
    assert refusal(path) == f"E-PERM wf.json: no permission to read; it belongs to user {user}, mode 0600"


def test_b04_pipe_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    os.mkfifo(path)
    expected = "E-NOTFILE wf.json: not a regular file but a pipe; give a .json, .png or bundle file"
    assert refusal(path) == expected


def test_b04_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("wf.json")
        expected = "E-NOTFILE wf.json: not a regular file but a socket; give a .json, .png or bundle file"
        assert refusal(Path("wf.json")) == expected


def test_b04_device_is_not_read() -> None:
    expected = "E-NOTFILE zero: not a regular file but a device; give a .json, .png or bundle file"
    assert refusal(Path("/dev/zero")) == expected


def test_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    path.symlink_to(path)
    expected = "E-NOTFILE wf.json: a link that leads back to itself; give a .json, .png or bundle file"
    assert refusal(path) == expected


def test_b05_too_large_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wf.json"
    with path.open("wb") as file:
        file.truncate(9 * 1024 * 1024)
    assert refusal(path) == "E-SIZE wf.json: 9.0 MiB, limit 8 MiB; give a smaller file"


def test_b05_reading_stops_at_the_limit_when_the_size_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "wf.json"
    path.write_bytes(b"1" * 5000)
    real = os.fstat

    def short(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[stat.ST_SIZE] = 0
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", short)
    assert refusal(path, limit=1024) == "E-SIZE wf.json: more than 1 KiB, limit 1 KiB; give a smaller file"


def test_a_file_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    path.write_bytes(b"1" * 1024)
    assert read_bytes(path, 1024) == b"1" * 1024


MISSING = {
    "near": (["fox.json", "zebra.txt"], "fix.json", 'did you mean "fox.json"?'),
    "several": (["fox1.json", "fox2.json"], "fox.json", 'did you mean "fox2.json" or "fox1.json"?'),
    "none_near": (["b.txt", "a.txt"], "workflow.json", 'the folder has "a.txt", "b.txt"'),
    "many": ([f"{i}.t" for i in range(9)], "flow.json", 'the folder has "0.t", "1.t", "2.t", "3.t", "4.t" and 4 more'),
    "hidden": ([".fox.json"], "fox.json", "check the path; the folder is empty"),
    "shown_escaped": (["fox\u202e.json"], "fox.json", 'did you mean "fox⟨U+202E⟩.json"?'),
    "too_long": (["a"], "x" * 300, 'the folder has "a"'),
    "nul": (["a"], "x\0", 'the folder has "a"'),
    "below_a_file": (["a"], "a/wf.json", None),
}


@pytest.mark.parametrize("case", MISSING)
def test_missing_file_names_the_nearest(case: str, tmp_path: Path) -> None:
    names, asked, hint = MISSING[case]
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(MissingError) as caught:
        read_source(tmp_path / asked, name="wf.json")
    (problem,) = caught.value.problems
    assert (problem.code, problem.exit_code, problem.what) == ("E-NOTFOUND", 3, "no such file")
    assert problem.place == Place(file="wf.json")
    assert problem.hint == (hint or f'there is no folder "{tmp_path}/a"')


def test_an_error_while_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(io.BytesIO):
        def __init__(self, descriptor: int, mode: str, closefd: bool) -> None:
            super().__init__()

        def read(self, count: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    path = tmp_path / "wf.json"
    path.write_text("{}")
    monkeypatch.setattr(source, "open", Broken, raising=False)
    with pytest.raises(WorkflowError) as caught:
        read_source(path, name="wf.json")
    expected = "E-NOTFILE wf.json: cannot be read: Input/output error; give a .json, .png or bundle file"
    assert str(caught.value) == expected


def test_the_name_of_a_file_cannot_act_on_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "\x1b[31mred.json"
    path.write_text(" ")
    with pytest.raises(WorkflowError) as caught:
        read_source(path)
    assert str(caught.value).startswith(f"E-EMPTY {tmp_path}/⟨U+001B⟩[31mred.json: ")
