"""Cases K1-K12: what the cache keeps, finds again and lets go."""

import math
import struct
from pathlib import Path

import pytest
from run_nodes import REGISTRY, Split, Tensor, Trained
from runs import execute, flow, node

from engine.cache import Cache
from engine.cache.codec import code, sockets, value_of
from engine.cache.index import Index
from engine.cache.tensors import Damaged, decode, encode
from engine.context import Settings
from engine.errors import Problem
from engine.plan import explain, make_plan
from engine.sweep import Sweep
from engine.values import Array, Packed, Socket, socket_of


def fill(count, value=0):
    return flow(f=node("Fill", count=count, value=value), targets=["f"])


def used(root: Path) -> int:
    """The bytes of blobs and of what is being written."""
    files = [p for part in ("blobs", "tmp", "scratch") for p in (root / part).rglob("*")]
    return sum(p.stat().st_size for p in files if p.is_file())


@pytest.mark.parametrize("limit", [0, 25_000, 10**9])
def test_k1_bounded_in_bytes(tmp_path, limit):
    cache = Cache(tmp_path, limit=limit)
    for value in range(10):
        execute(fill(8000, value), cache)
    assert used(tmp_path) <= limit
    assert cache.index.total() <= limit
    assert len(cache.index.rows()) == {0: 0, 25_000: 3}.get(limit, 10)
    assert cache.counts.evicted == 10 - len(cache.index.rows())


def test_k1_memory_is_bounded_too():
    cache = Cache(memory=25_000)
    for value in range(10):
        execute(fill(8000, value), cache)
        assert cache.memory.bytes <= 25_000
    assert execute(fill(8000, 9), cache).calls == []
    assert execute(fill(8000, 0), cache).calls == ["f 0"]
    small = flow({"x": 0}, a=node("Add", a="$x"), targets=["a"])
    execute(small, cache, sweep=Sweep({"x": range(100)}))
    assert cache.memory.bytes <= 25_000


def test_k1_a_blob_that_two_results_share_counts_once_and_goes_with_the_last(tmp_path):
    cache = Cache(tmp_path)
    execute(flow(f=node("Fill", count=5000, value=1), s=node("Shift", tensor="@f", by=0), targets=["s"]), cache)
    (first, second) = (key for key, *_ in cache.index.rows())
    assert len(list(cache.blobs.digests())) == 1
    assert 5000 < cache.index.total() < 5500
    cache.forget([first])
    assert len(list(cache.blobs.digests())) == 1
    cache.forget([second])
    assert list(cache.blobs.digests()) == []


def test_k3_hits_misses_and_the_rest_are_counted(tmp_path):
    cache = Cache(tmp_path)
    workflow = flow(f=node("Fill"), s=node("Shift", tensor="@f"), w=node("Write", value="@s"))
    execute(workflow, cache, out=tmp_path)
    assert (cache.counts.hits, cache.counts.stored) == (0, 2)
    execute(workflow, cache, out=tmp_path)
    assert (cache.counts.hits, cache.counts.misses, cache.counts.stored) == (1, 0, 2)
    assert cache.load("no such key", Split, ["first"]) is None
    assert cache.counts.misses == 1


def test_k4_the_least_recently_used_goes_first(tmp_path):
    cache = Cache(tmp_path)
    for value in range(4):
        execute(fill(1000, value), cache)
    execute(fill(1000, 0), cache)
    dropped, left = cache.collect(2 * 1200)
    assert (dropped, left <= 2400) == (2, True)
    assert [execute(fill(1000, v), Cache(tmp_path)).calls for v in (0, 3)] == [[], []]
    assert execute(fill(1000, 1), cache, use_cache=True).calls == ["f 1"]


def test_k4_use_is_counted_across_processes_and_never_timed(tmp_path, monkeypatch):
    import time

    cache, other = Cache(tmp_path), Cache(tmp_path)
    clock = iter(range(10**6, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: next(clock))
    monkeypatch.setattr(time, "time_ns", lambda: next(clock) * 10**9)
    for value in range(5):
        execute(fill(1000, value), cache if value % 2 else other)
    execute(fill(1000, 0), other)
    kept = [execute(fill(1000, v), cache).calls == [] for v in range(5)]
    assert kept == [True] * 5
    cache.collect(3 * 1100)
    assert {key for key, *_ in cache.index.rows()} == {key for key, *_ in other.index.rows()[:3]}


def test_k5_off_for_a_run_and_for_a_node(tmp_path):
    cache = Cache(tmp_path)
    workflow = flow(f=node("Fill"), s=node("Shift", tensor="@f", cache=False), t=node("Sum", tensors=["@s"]),
                    targets=["t"])  # fmt: skip
    execute(workflow, cache, use_cache=False)
    assert cache.index.rows() == []
    execute(workflow, cache)
    assert sorted(kind for _, kind, *_ in cache.index.rows()) == ["Fill", "Sum"]
    again = flow(f=node("Fill"), s=node("Shift", tensor="@f", cache=False), targets=["s"])
    assert [execute(again, cache).calls for _ in range(2)] == [["s 1"], ["s 1"]]
    assert execute(workflow, cache, use_cache=False).calls == ["f 0", "s 1", "t"]


def test_k6_a_changed_input_file_misses_and_a_touched_one_hits(tmp_path):
    import os

    file = tmp_path / "a.txt"
    cache = Cache(tmp_path / "cache")
    workflow = flow(r=node("ReadText", path="a.txt"), targets=["r"])

    def read():
        ran = execute(workflow, cache, folder=tmp_path)
        return ran.value("r"), bool(ran.calls)

    file.write_text("one")
    assert read() == ("one", True)
    assert read() == ("one", False)
    times = file.stat()
    os.utime(file, ns=(1, 1))
    assert read() == ("one", False)
    file.write_text("two")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert read() == ("two", True)
    file.write_text("one")
    assert read() == ("one", False)


def test_k7_a_changed_version_of_a_node_misses_and_about_does_not(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    execute(fill(10), cache)
    assert execute(flow(other=node("Fill", count=10, about="a comment"), targets=["other"]), cache).calls == []
    monkeypatch.setattr(REGISTRY.get("Fill"), "version", 2)
    assert execute(fill(10), cache).calls == ["f 0"]


VALUES = {
    "bool": True, "int": 2**70, "float": 0.1, "minus zero": -0.0, "infinity": math.inf, "text": "caf\u00e9 \ud800 \0",
    "empty text": "", "long text": "x" * 10_000, "object": {"b": [1, 1.0, None, "1", True], "a": {}}, "empty": {},
    "long object": {"x": ["y"] * 5000}, "tensor": Tensor(b"\0\1\xff"), "empty tensor": Tensor(b""),
}  # fmt: skip


@pytest.mark.parametrize("name", VALUES)
def test_k9_every_kind_of_value_round_trips(name, tmp_path):
    value = VALUES[name]
    socket = socket_of(type(value))
    coded = code(value, socket)
    assert code(value, socket).digest == coded.digest
    blob = b"".join(bytes(p) for p in coded.pieces) if coded.pieces else None
    back = value_of(socket, coded.packed.meta, blob, {})
    assert type(back) is type(value)
    if isinstance(value, Tensor):
        assert back.data == value.data
    else:
        assert repr(back) == repr(value) if not isinstance(value, dict) else back == value


def test_k9_equal_looking_values_have_digests_of_their_own():
    values = [1, 1.0, "1", True, None, {}, {"a": 1}, {"a": 1.0}, 0.0, -0.0, math.nan, "NaN", Tensor(b"1"), Tensor(b"")]
    digests = [code(v, socket_of(type(v)) if v is not None else socket_of(int)).digest for v in values]
    assert len(set(digests)) == len(values)
    assert code(math.nan, socket_of(float)).digest == code(math.nan, socket_of(float)).digest


@pytest.mark.parametrize(
    ("dtype", "shape", "data"),
    [
        ("F32", (2, 1), struct.pack("<2f", math.nan, -0.0)),
        ("F32", (0, 3), b""),
        ("F64", (), struct.pack("<d", 5e-324)),
        ("BF16", (2,), b"\x80\x7f\xc0\x7f"),
        ("I64", (1,), struct.pack("<q", -(2**63))),
        ("BOOL", (3,), b"\1\0\1"),
    ],
)
def test_k9_arrays_keep_dtype_shape_and_every_bit(dtype, shape, data):
    pieces = encode({"x": Array(dtype, shape, data), "a": Array("U8", (1,), b"7")}, {"k": "v"})
    arrays, metadata = decode(b"".join(bytes(p) for p in pieces))
    assert (arrays["x"].dtype, arrays["x"].shape, bytes(arrays["x"].data)) == (dtype, shape, data)
    assert metadata == {"k": "v"}


def test_k9_an_object_whose_keys_are_no_text_is_refused(tmp_path):
    with pytest.raises(TypeError, match="the key 1 of an object is no text"):
        code({"a": {1: "b"}}, socket_of(dict))


def test_k9_several_outputs_and_none(tmp_path):
    for count in (3, 1):
        workflow = flow(f=node("Fill", count=count, value=5), s=node("Split", tensor="@f"), targets=["s"])
        execute(workflow, Cache(tmp_path))
        (values,) = execute(workflow, Cache(tmp_path)).outcome.values.values()
        assert values["first"].data == bytes([5] * ((count + 1) // 2))
        assert values["second"] is None if count == 1 else values["second"].data == b"\5"


def test_k9_files_belong_to_the_digest_and_keep_their_names(tmp_path):
    def make(name, **files):
        folder = tmp_path / name
        for file, text in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(text)
        return code(Trained(folder), sockets(REGISTRY.get("Train"))["trained"]).digest

    one = make("one", a="1", b="2")
    assert make("same", a="1", b="2") == one
    assert len({one, make("content", a="1", b="3"), make("name", a="1", c="2"), make("swap", a="2", b="1")}) == 4


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "", "a//b", "C:x", "a\\b", "."])
def test_k9_a_file_name_that_leaves_the_folder_is_refused(name, tmp_path):
    (tmp_path / "f").write_text("x")
    socket = Socket(Trained, "X", lambda v: Packed({}, {}, {name: tmp_path / "f"}), lambda p: None)
    with pytest.raises(Damaged, match="is not one inside a folder"):
        code(Trained(tmp_path), socket)


def test_k9_evicted_files_take_their_folder_along(tmp_path):
    cache = Cache(tmp_path)
    execute(flow(t=node("Train"), targets=["t"]), cache)
    assert len(list((tmp_path / "views").iterdir())) == 1
    cache.collect(0)
    assert list((tmp_path / "views").iterdir()) == []
    assert used(tmp_path) == 0


def test_k9_files_outside_the_cache_are_copied_and_left_alone(tmp_path):
    (tmp_path / "mine").write_bytes(b"my model")
    cache = Cache(tmp_path / "cache")
    from engine.cache.blobs import file_digest

    digest = file_digest(tmp_path / "mine")
    assert cache.blobs.adopt(digest, tmp_path / "mine") == 8
    (tmp_path / "mine").write_bytes(b"changed!")
    assert cache.blobs.get(digest) == b"my model"


WORK = {
    "t": node("Train", steps=2),
    "w": node("Weigh", model="@t"),
    "f": node("Fill", count=3000),
    "h": node("Open"),
    "a": node("Shift", tensor="@f"),
    "b": node("Shift", tensor="@f", by=2),
    "s": node("Sum", tensors=["@a", "@b", "@f"]),
    "u": node("Use", handle="@h"),
    "n": node("Add", a="@s", b="@u"),
    "x": node("Split", tensor="@b"),
}


@pytest.mark.parametrize(
    ("disk", "limit", "memory", "use"),
    [
        (False, 0, 0, True), (False, 0, 10**6, True), (True, 10**9, 0, True), (True, 10**9, 10**6, True),
        (True, 0, 0, True), (True, 3500, 0, True), (True, 3500, 4000, True), (True, 10**9, 0, False),
    ],
)  # fmt: skip
def test_k11_on_off_cold_warm_and_tiny_give_the_same(tmp_path, disk, limit, memory, use):
    want = execute(flow(**WORK, targets=["n", "w", "x"]))
    cache = Cache(tmp_path if disk else None, limit=limit, memory=memory)
    found: dict[str, dict[str, str]] = {}
    for _ in range(3):
        ran = execute(flow(**WORK, targets=["n", "w", "x"]), cache, use_cache=use)
        assert [ran.value(n) for n in "nw"] == [want.value(n) for n in "nw"]
        for name, digests in ran.digests.items():
            assert found.setdefault(name, digests) == digests
    assert found == want.digests
    assert cache.counts.damaged == 0
    cache.close()
    assert not disk or used(tmp_path) <= limit


def why(workflow, cache, **given):
    from engine.bind import bind

    settings = Settings(folder=workflow.document.folder)
    plan = make_plan([bind(workflow, given)], cache, settings)
    return {name: text for (_, name), text in explain(plan, cache, settings, "test").items()}


def test_k12_the_plan_names_the_input_that_changed_and_both_values(tmp_path):
    workflow = flow({"count": 10, "by": 2}, f=node("Fill", count="$count"), s=node("Shift", tensor="@f", by="$by"),
                    t=node("Sum", tensors=["@s"]), h=node("Open"), w=node("Write", value="@t"))  # fmt: skip
    cache = Cache(tmp_path)
    assert why(workflow, cache)["s"] == "not run before"
    execute(workflow, cache, out=tmp_path)
    assert why(workflow, cache) == {
        "f": "cached", "s": "cached", "t": "cached", "h": "nothing that runs needs it", "w": "writes files",
    }  # fmt: skip
    found = why(workflow, cache, by=3)
    assert (found["f"], found["s"]) == ("cached", "by was 2, is 3")
    assert found["t"] == "tensors changed"
    assert why(workflow, cache, count=11)["s"] == "tensor comes from f, which changed"
    cache.forget([key for key, kind, *_ in cache.index.rows() if kind == "Sum"])
    assert why(workflow, cache)["t"] == "its result is no longer in the cache"


def test_k12_files_are_named_too(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.txt").write_text("two")
    cache = Cache(tmp_path / "cache")
    workflow = flow({"p": "a.txt"}, r=node("ReadText", path="$p"), targets=["r"])
    object.__setattr__(workflow.document, "folder", tmp_path)
    execute(workflow, cache)
    (tmp_path / "a.txt").write_text("other")
    assert why(workflow, cache)["r"] == 'path: the content of "a.txt" changed'
    assert why(workflow, cache, p="b.txt")["r"] == 'path was "a.txt", is "b.txt"'


def test_warnings_before_anybody_listens_are_kept(tmp_path):
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    heard: list[Problem] = []
    cache.listen(heard.append)
    cache.listen(heard.append)
    assert [p.what for p in heard] == ["the cache is off for this run: Not a directory"]


def test_an_index_of_another_version_is_set_aside(tmp_path):
    path = tmp_path / "index.sqlite"
    for version in (0, 99):
        index = Index(path)
        index.set_file_digest("a", "b", "c")
        index._db.execute(f"PRAGMA user_version = {version}")
        index.close()
        index = Index(path)
        assert index.file_digest("a", "b") is None
        assert index.is_new
        index.close()
    assert (tmp_path / "index.sqlite.aside").exists()


def test_k11_a_model_in_memory_whose_files_were_evicted_is_read_again(tmp_path):
    cache = Cache(tmp_path, memory=10**6)
    train, weigh = node("Train", steps=2), node("Weigh", model="@t", tag="again")
    execute(flow(t=train, w=node("Weigh", model="@t"), targets=["w"]), cache)
    Cache(tmp_path).collect(0)
    assert execute(flow(t=train, w=weigh, targets=["w"]), cache).calls == ["train from 0", "weigh"]
