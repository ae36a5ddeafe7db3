"""Bundles: the same bytes for the same content; what no bundle may hold is refused before anything is taken out."""

import io
import json
import stat
import time
import zipfile

import pytest

from engine.canonical import digest
from engine.errors import WeftError
from engine.share.bundle import Bundle, read, write
from engine.share.lock import Lock

DOCUMENT = {"format": 1, "nodes": {"a": {"type": "T"}}}
DATA = {
    "weft_lock": 1, "workflow": {"name": "", "digest": digest(DOCUMENT)}, "settings": {}, "models": [], "inputs": [],
    "nodes": {"a": {"type": "T", "inputs": {}}}, "packs": {}, "environment": {}, "outputs": {"a": ["0"]},
}  # fmt: skip
SHA = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
GOOD = Bundle(Lock(DATA, DOCUMENT), {SHA: b"hello"}, {"fox.png": b"png"})


def changed(*more, drop=(), **replaced):
    """The good bundle with members more: (name or ZipInfo, content); without some; with others' content replaced."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(write(GOOD))) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for info in old.infolist():
            if info.filename not in drop:
                new.writestr(info.filename, replaced.get(info.filename.replace(".", "_"), old.read(info)))
        for name, content in more:
            new.writestr(name, content)
    return out.getvalue()


def link(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def many(count):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for i in range(count):
            new.writestr(f"outputs/{i}", b"")
    return out.getvalue()


BAD = {
    "b73_above": (lambda: changed(("../evil", b"")), '"../evil": a path that leaves the bundle'),
    "b73_above_in_outputs": (lambda: changed(("outputs/../../evil", b"")), '"outputs/../../evil": a path that leaves'),
    "b73_backslash": (lambda: changed(("..\\evil", b"")), r'"..\evil": a path that leaves the bundle'),
    "b73_absolute": (lambda: changed(("/etc/passwd", b"")), '"/etc/passwd": an absolute path'),
    "b73_drive": (lambda: changed(("C:evil", b"")), '"C:evil": an absolute path'),
    "b73_link": (lambda: changed((link("outputs/x"), b"/etc")), '"outputs/x": a link or a device'),
    "b73_code": (lambda: changed(("nodes.py", b"")), '"nodes.py": no member that a bundle has'),
    "b73_unsafe_name": (lambda: changed(("outputs/CON", b"")), '"outputs/CON": no member that a bundle has'),
    "b73_case": (lambda: changed(("outputs/FOX.png", b"")), 'differs from "outputs/fox.png" by upper and lower case'),
    "b73_ratio": (lambda: changed(("outputs/z", b"a" * (10 << 20))), '"outputs/z": expands more than 1000 times'),
    "b73_sha": (lambda: changed((f"inputs/{'0' * 64}", b"x")), f'"inputs/{"0" * 52}…": its SHA-256 is not the one'),
    "b73_changed": (lambda: changed(lock_json=b"{}"), '"lock.json": its SHA-256 is not the one in the manifest'),
    "b73_missing": (lambda: changed(drop=["lock.json"]), '"lock.json": it is missing'),
    "no_manifest": (lambda: changed(drop=["manifest.json"]), '"manifest.json": it is missing'),
    "another_manifest": (lambda: changed(manifest_json=b'{"weft_bundle": 2}'), "it is not that of a bundle"),
}  # fmt: skip


def test_what_was_written_is_read(tmp_path):
    (tmp_path / "a.zip").write_bytes(write(GOOD))
    found = read(tmp_path / "a.zip")
    assert (found.lock, found.inputs, found.outputs) == (GOOD.lock, GOOD.inputs, GOOD.outputs)


def test_the_same_content_is_the_same_bytes(tmp_path):
    again = Bundle(Lock(dict(reversed(DATA.items())), DOCUMENT), GOOD.inputs, GOOD.outputs)
    assert write(again) == write(GOOD)


@pytest.mark.parametrize("case", BAD)
def test_what_no_bundle_may_hold_is_refused(tmp_path, case):
    make, message = BAD[case]
    (tmp_path / "a.zip").write_bytes(make())
    started = time.perf_counter()
    with pytest.raises(WeftError) as found:
        read(tmp_path / "a.zip")
    assert str(found.value).startswith("E-BUNDLE a.zip: entry ")
    assert message in str(found.value)
    assert str(found.value).endswith("; nothing was taken out of it")
    assert found.value.exit_code == 5
    assert time.perf_counter() - started < 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_b73_the_same_name_twice_is_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(changed(("outputs/fox.png", b"")))
    with pytest.raises(WeftError, match=r'entry "outputs/fox.png": stands twice'):
        read(tmp_path / "a.zip")


@pytest.mark.parametrize(("data", "message"), [
    (many(10_001), "E-BUNDLE a.zip: has 10001 members, limit 10000; it is not a bundle of weft"),
    (write(GOOD)[:-30], "E-BUNDLE a.zip: damaged: it ends early; get it again"),
    (write(GOOD).replace(b"hello", b"hallo"), "E-BUNDLE a.zip: damaged: Bad CRC-32"),
    (b"PK\x03\x04" + b"PK\x05\x06" + b"\xff" * 18, "E-BUNDLE a.zip: has 65535 members"),
])  # fmt: skip
def test_b73_what_is_damaged_or_too_many_is_refused(tmp_path, data, message):
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(WeftError) as found:
        read(tmp_path / "a.zip")
    assert str(found.value).startswith(message)
    assert found.value.exit_code == 5


def test_a_workflow_that_is_not_the_one_of_the_lock_is_refused(tmp_path):
    other = write(Bundle(Lock({**DATA, "workflow": {"digest": "0"}}, DOCUMENT)))
    (tmp_path / "a.zip").write_bytes(other)
    with pytest.raises(WeftError, match="E-DIGEST"):
        read(tmp_path / "a.zip")
    assert json.loads(zipfile.ZipFile(io.BytesIO(other)).read("workflow.json")) == DOCUMENT
