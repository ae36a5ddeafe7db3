"""A picture carries how it was made, and nothing of the machine; opening one runs nothing."""

import json
import zlib
from io import BytesIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.api import load, run
from engine.cache import Cache
from engine.canonical import canonical, digest
from engine.context import Settings
from engine.errors import WeftError
from engine.opening import workflow_text
from engine.pictures.container import PNG
from engine.pictures.texts import Text, texts
from engine.pictures.write import with_chunks
from engine.share import picture
from engine.share.lockfile import lock_in
from engine.share.picture import found_in
from engine.share.subject import open_subject
from engine.source import read_source
from engine.tidy import laid_out
from nodes import registry


def flow(name="grey", ending="png", **save):
    return {
        "format": 1,
        "params": {"name": name},
        "nodes": {
            "save": {"type": "SaveImage", "image": "@picture", "path": f"{{name}}.{ending}", **save},
            "picture": {"type": "DatasetImage", "dataset": "@digits"},
            "digits": {"type": "Digits", "size": 16},
        },
    }


def saved(tmp_path, ending="png", **changes):
    settings = Settings(out=tmp_path / "out", **changes)
    workflow = load(flow(ending=ending), registry=registry())
    (file,) = run(workflow, settings=settings, cache=Cache(), name="seven").files
    return file


def png(**chunks):
    info = PngInfo()
    for key, text in chunks.items():
        info.add_itxt(key, text)
    out = BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_a_saved_picture_runs_again_to_the_same_file(tmp_path, ending):
    file = saved(tmp_path, ending)
    again = run(load(file.path, registry=registry()), settings=Settings(out=tmp_path / "again"), cache=Cache())
    assert [f.digest for f in again.files] == [file.digest]
    assert again.files[0].path.read_bytes() == file.path.read_bytes()


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_a_saved_picture_carries_its_workflow_and_its_lock(tmp_path, ending):
    file = saved(tmp_path, ending)
    subject = open_subject(file.path)
    assert subject.document["params"] == {"name": "seven"}
    assert subject.lock.data["workflow"]["digest"] == digest(subject.document)
    assert subject.lock.data["outputs"] == {"save": [file.digest]}
    assert set(subject.lock.nodes) == {"digits", "picture", "save"}
    beside = lock_in(read_source(tmp_path / "out/seven.lock"))
    assert canonical(beside.data) == canonical(subject.lock.data)
    carried = found_in(file.path.read_bytes(), "x")
    assert (carried.parameters, carried.source) == ("", ""), "no sampler made it"


def test_a_png_has_its_texts_before_its_pixels(tmp_path):
    data = saved(tmp_path).path.read_bytes()
    assert [key for key, _ in texts(data)] == ["weft_workflow", "weft_lock"]
    assert data.index(b"weft_lock") < data.index(b"IDAT")
    assert texts(data)[1].text.encode() == canonical(json.loads(texts(data)[1].text))


def test_a_jpeg_names_its_lock_and_not_more(tmp_path):
    file = saved(tmp_path, "jpg")
    found = found_in(file.path.read_bytes(), "x")
    reference = json.loads(found.lock)
    assert found.workflow == ""
    lock = lock_in(read_source(tmp_path / "out" / reference["file"]))
    assert lock.digest == reference["sha256"]
    (tmp_path / "out" / reference["file"]).unlink()
    with pytest.raises(WeftError, match=r"E-NOTFOUND .*the picture only names its lock") as error:
        workflow_text(file.path)
    assert error.value.exit_code == 3


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_large_lock_lies_beside_the_picture(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(picture, "LOCK_LIMIT", 100)
    file = saved(tmp_path, ending)
    reference = json.loads(found_in(file.path.read_bytes(), "x").lock)
    assert set(reference) == {"file", "sha256"}
    assert open_subject(file.path).lock.digest == reference["sha256"]
    (tmp_path / "out" / reference["file"]).write_text("{}")
    with pytest.raises(WeftError, match="E-LOCK"):
        open_subject(file.path)
    (tmp_path / "out" / reference["file"]).write_bytes((tmp_path / "out/seven.lock").read_bytes())
    assert open_subject(file.path).lock.digest == reference["sha256"]


@pytest.mark.parametrize("ending", ["png", "webp", "jpg"])
def test_without_metadata_nothing_is_carried_and_no_lock_written(tmp_path, ending):
    file = saved(tmp_path, ending, metadata=False)
    assert not texts(file.path.read_bytes())
    assert [path.name for path in (tmp_path / "out").iterdir()] == [f"seven.{ending}"]
    with pytest.raises(WeftError, match="E-NOMETA"):
        workflow_text(file.path)


def test_the_pixels_are_the_same_with_and_without(tmp_path):
    assert saved(tmp_path / "a").digest == saved(tmp_path / "b", metadata=False).digest


def test_nothing_of_this_machine_is_carried(tmp_path):
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "in/red.png")
    nodes = {
        "load": {"type": "LoadImage", "path": "$file"},
        "say": {"type": "Text", "value": str(tmp_path / "in")},
        "odd": {"type": "Text", "value": "/imagine a fox"},
        "save": {"type": "SaveImage", "image": "@load.image"},
        "file": {"type": "SaveText", "value": "@joined", "path": "a.txt"},
        "joined": {"type": "JoinText", "texts": ["@say", "@odd"]},
    }
    document = {"format": 1, "params": {"file": str(tmp_path / "in/red.png")}, "nodes": nodes}
    settings = Settings(out=tmp_path / "out", allowed=(tmp_path,))
    result = run(load(document, registry=registry()), settings=settings, cache=Cache())
    for path in (tmp_path / "out").iterdir():
        if path.suffix != ".txt":
            assert str(tmp_path).encode() not in path.read_bytes()
    (carried,) = (open_subject(f.path).document for f in result.files if f.path.suffix == ".png")
    assert carried["params"] == {"file": "red.png"}
    assert [carried["nodes"][name]["value"] for name in ("say", "odd")] == ["in", "/imagine a fox"]


def test_a_home_folder_is_left_out_where_a_file_is_named():
    from engine.share.lock import bare

    said = ["~/a/b.png", "/x/b.png", "C:\\u\\b.png", "\\\\srv\\b.png", "a/b.png", "owner/name", 3]
    assert [bare(one) for one in said] == ["b.png"] * 4 + ["a/b.png", "owner/name", 3]


WORKFLOW = json.dumps(flow())


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(), "E-NOMETA x.png: no generation data; open a picture that weft made, or the workflow's own file"),
        (png(parameters="Steps: 3"), "E-NOMETA x.png: found A1111 parameters; try: weft import"),
        (
            png(prompt="{}", workflow="{}"),
            "E-NOMETA x.png: found a ComfyUI prompt and a ComfyUI workflow; try: weft import",
        ),
        (
            with_chunks(png(weft_workflow=WORKFLOW), [Text("weft_workflow", WORKFLOW)]),
            "E-DUPKEY x.png: two workflows in one image; take the file as weft wrote it",
        ),
        (
            with_chunks(png(weft_lock="{}"), [Text("weft_lock", "{}")]),
            "E-DUPKEY x.png: two locks in one image; take the file as weft wrote it",
        ),
        (png(weft_workflow="{}")[:-20], "E-IMAGE x.png: damaged in chunk IDAT at"),
        (png(weft_workflow="{}").replace(b"{}", b"[]"), "E-IMAGE x.png: damaged in chunk iTXt at 33"),
        (b"<?xml version='1.0'?>\n<svg/>", "E-IMAGE x.png: content is SVG, not PNG/JPEG/WebP; convert it first"),
        (png(weft_workflow="{"), "E-JSON x.png:1:2: "),
        (png(weft_workflow=WORKFLOW, weft_lock="{"), "E-JSON x.png weft_lock:1:2: "),
        (png(weft_workflow=WORKFLOW, weft_lock="[1]"), "E-LOCK x.png: damaged: a part of it is missing; "),
        (
            png(weft_workflow=WORKFLOW, weft_lock='{"file": "../a", "sha256": ""}'),
            "E-LOCK x.png: damaged: what it says",
        ),
        (png(weft_lock='{"file": 3}'), "E-LOCK x.png: damaged: what it says of its lock is no reference; get it again"),
    ],
)
def test_b67_b72_what_is_wrong_with_a_picture_is_said(tmp_path, monkeypatch, data, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.png").write_bytes(data)
    from pathlib import Path

    with pytest.raises(WeftError) as found:
        open_subject(Path("x.png"))
    assert str(found.value).startswith(message)
    assert found.value.exit_code == 2


def test_b69_a_text_that_expands_too_far_is_not_unpacked_whole(tmp_path):
    content = b"weft_workflow\0\1\0\0\0" + zlib.compress(b" " * (50 << 20), 9)
    chunk = b"iTXt" + content
    bomb = len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    plain = png()
    (tmp_path / "x.png").write_bytes(PNG + plain[8:33] + bomb + plain[33:])
    with pytest.raises(WeftError, match=r"E-BOMB .*text expands beyond 8 MiB"):
        open_subject(tmp_path / "x.png")


def test_b70_a_header_of_400_megapixels_is_refused(tmp_path):
    head = b"IHDR" + (20_000).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    (tmp_path / "x.png").write_bytes(PNG + (13).to_bytes(4, "big") + head + zlib.crc32(head).to_bytes(4, "big"))
    with pytest.raises(WeftError, match=r"E-BOMB .*400 Mpx, limit 64"):
        open_subject(tmp_path / "x.png")


def test_a_workflow_that_is_not_the_one_of_the_lock_is_refused(tmp_path):
    file = saved(tmp_path)
    data = file.path.read_bytes()
    (_, workflow), lock = texts(data)
    (tmp_path / "x.png").write_bytes(with_chunks(png(), [Text("weft_workflow", workflow.replace("16", "17")), lock]))
    with pytest.raises(WeftError, match=r"E-DIGEST .*its workflow is not the one that its lock names"):
        open_subject(tmp_path / "x.png")


def test_what_is_laid_out_is_the_same_json_in_the_order_of_people():
    text = '{"nodes":{"b":{"x":"@a","type":"T"},"a":{"type":"U","y":"@b.z"},"0":{"x":["@b"]}},"format":1}'
    assert json.loads(laid_out(text)) == json.loads(text)
    told = laid_out('{"nodes":{"b":{"x":"@a","type":"T"},"a":{"type":"U"}},"format":1}')
    assert told.index('"format"') < told.index('"a"') < told.index('"b"') < told.index('"x"')
    assert json.loads(laid_out('{"a":[1,{"b":"é"}]}')) == {"a": [1, {"b": "é"}]}
    assert "é" in laid_out('{"a":"é"}')
    assert laid_out("{not json") == "{not json"
    assert laid_out("[" * 100_000) == "[" * 100_000
