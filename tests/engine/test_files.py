"""Writing: names are claimed once, contents are whole or absent, an earlier file outlives every failure."""

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from engine.errors import RunError, WeftError
from engine.files import claim, write_atomic


def take(path: Path) -> str:
    claimed, handle = claim(path)
    handle.write(claimed.name.encode())
    handle.close()
    return claimed.name


def test_a_taken_name_gets_a_number(tmp_path: Path) -> None:
    names = [take(tmp_path / "fox.png") for _ in range(3)]
    assert names == ["fox.png", "fox-2.png", "fox-3.png"]
    assert all((tmp_path / n).read_text() == n for n in names)
    assert [take(tmp_path / "tar.a.gz"), take(tmp_path / "tar.a.gz")] == ["tar.a.gz", "tar.a-2.gz"]
    assert [take(tmp_path / "none"), take(tmp_path / "none")] == ["none", "none-2"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    assert take(tmp_path / "a" / "b" / "fox.png") == "fox.png"


def test_many_of_one_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers go on in order, and a claim does not try every number before its own."""
    names = [take(tmp_path / "fox.png") for _ in range(200)]
    assert names == ["fox.png", *(f"fox-{i}.png" for i in range(2, 201))]
    tried: list[Path] = []
    real = os.open

    def counted(path: Path, flags: int, mode: int) -> int:
        tried.append(path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", counted)
    assert take(tmp_path / "fox.png") == "fox-201.png"
    assert len(tried) < 20


def test_a_numbered_name_is_not_too_long(tmp_path: Path) -> None:
    long = "é" * 125 + ".png"
    assert [take(tmp_path / long), take(tmp_path / long)] == [long, "é" * 124 + "-2.png"]


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old")
    (tmp_path / "fox.png").symlink_to("secret")
    (tmp_path / "fox-2.png").symlink_to("nowhere")
    assert take(tmp_path / "fox.png") == "fox-3.png"
    write_atomic(tmp_path / "fox.png", b"new")
    assert (tmp_path / "secret").read_text() == "old"
    assert not (tmp_path / "fox.png").is_symlink()


def test_many_writers_lose_no_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(take, [tmp_path / "fox.png"] * 100))
    assert len(set(names)) == 100
    assert all((tmp_path / n).read_text() == n for n in names)


def test_write_atomic_replaces_the_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    for data in (b"a long first version", b"second", b""):
        write_atomic(path, data)
        assert path.read_bytes() == data
    assert [p.name for p in tmp_path.iterdir()] == ["wf.json"]


def fail(code: int) -> Callable[..., None]:
    def call(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_earlier_file(
    call: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wf.json"
    write_atomic(path, b"good")
    monkeypatch.setattr(os, call, fail(code))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 100))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError) as caught:
        write_atomic(Path("wf.json"), b"x" * 2048)
    expected = (
        "E-DISK wf.json: the disk is full; 2.0 KiB are needed, 100 B are free; "
        "free some space, or give another folder with --out"
    )
    assert str(caught.value) == expected
    assert path.read_bytes() == b"good"
    assert [p.name for p in tmp_path.iterdir()] == ["wf.json"]


@pytest.fixture
def small_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
def test_a_disk_that_takes_only_the_start(tmp_path: Path) -> None:
    path = tmp_path / "wf.json"
    write_atomic(path, b"good")
    with pytest.raises(RunError, match=r"E-DISK .*: the disk is full; 9.8 KiB are needed"):
        write_atomic(path, b"x" * 10_000)
    assert path.read_bytes() == b"good"
    assert [p.name for p in tmp_path.iterdir()] == ["wf.json"]


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", range(3))
def test_a_call_that_fails_or_is_interrupted_leaves_the_earlier_file(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "wf.json"
    write_atomic(path, b"good")
    real, calls = getattr(os, call), iter(range(100))

    def sometimes(*args: object, **kwargs: object) -> object:
        if next(calls) == number:
            raise KeyboardInterrupt
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, sometimes)
        try:
            write_atomic(path, b"new")
        except KeyboardInterrupt:
            assert number < 2
    assert path.read_bytes() in (b"good", b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["wf.json"]


ERRORS = {
    errno.EACCES: "E-PERM wf.json: no permission to write; give another folder with --out",
    errno.EROFS: "E-PERM wf.json: no permission to write; give another folder with --out",
    errno.EIO: "E-DISK wf.json: cannot be written: Input/output error; give another folder with --out",
    errno.ENAMETOOLONG: "E-NAME wf.json: the path is too long; give a shorter name",
}


@pytest.mark.parametrize("code", ERRORS)
@pytest.mark.parametrize("write", [lambda p: write_atomic(p, b"x"), claim], ids=["write_atomic", "claim"])
def test_what_a_failure_says(
    write: Callable[[Path], object], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "open", fail(code))
    with pytest.raises(WeftError) as caught:
        write(Path("wf.json"))
    assert str(caught.value) == ERRORS[code]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(RunError, match=r"E-DISK .*/out/a/fox.png: cannot be written: Not a directory"):
        claim(tmp_path / "out" / "a" / "fox.png")


def test_killed_at_any_moment_the_file_is_old_or_new(tmp_path: Path) -> None:
    """A child writes two versions in turn until it is killed."""
    path = tmp_path / "wf.json"
    versions = [b"a" * 300_000, b"b" * 200_000]
    write_atomic(path, versions[0])
    script = (
        "import sys; from pathlib import Path; from engine.files import write_atomic\n"
        "print('on', flush=True)\n"
        "while True:\n"
        "    for data in (b'a' * 300_000, b'b' * 200_000): write_atomic(Path(sys.argv[1]), data)\n"
    )
    root = Path(__file__).parents[2]
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=root, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            for _ in range(50):
                assert path.read_bytes() in versions
            child.kill()
        assert path.read_bytes() in versions
