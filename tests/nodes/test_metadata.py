"""A picture carries the workflow that made it, and nothing of the machine; opening one runs nothing."""

import json
import zlib

import pytest
from PIL import Image

from engine.api import load, run
from engine.cache import Cache
from engine.context import Settings
from engine.embed import KEY, laid_out, with_workflow, workflow_in
from engine.errors import WeftError
from engine.pictures.container import PNG
from nodes import registry

FLOW = {
    "format": 1,
    "params": {"low": {"default": 0.25, "about": "how dark"}, "name": "grey"},
    "nodes": {
        "picture": {"type": "DatasetImage", "dataset": "@digits"},
        "digits": {"type": "Digits", "size": 16},
        "noise": {"type": "Noise"},
        "save": {"type": "SaveImage", "image": "@picture", "path": "{name}.png"},
    },
}


def png(**texts):
    from io import BytesIO

    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    for key, text in texts.items():
        info.add_itxt(key, text)
    out = BytesIO()
    Image.new("RGB", (4, 4)).save(out, "PNG", pnginfo=info)
    return out.getvalue()


def flow(**params):
    return {**FLOW, "params": {"name": "grey"}, "nodes": {k: v for k, v in FLOW["nodes"].items() if k != "noise"}}


def saved(tmp_path, **changes):
    settings = Settings(out=tmp_path / "out", **changes)
    workflow = load(flow(), registry=registry())
    (file,) = run(workflow, settings=settings, cache=Cache(), name="seven").files
    return file


def test_a_saved_picture_carries_the_workflow_as_it_ran(tmp_path):
    file = saved(tmp_path)
    carried = json.loads(workflow_in(file.path.read_bytes(), "x"))
    assert carried["params"] == {"name": "seven"}
    again = run(load(file.path, registry=registry()), settings=Settings(out=tmp_path / "again"), cache=Cache())
    assert [f.digest for f in again.files] == [file.digest]
    assert again.files[0].path.read_bytes() == file.path.read_bytes()


def test_without_metadata_nothing_is_carried(tmp_path):
    file = saved(tmp_path, metadata=False)
    with pytest.raises(WeftError, match="E-NOMETA"):
        workflow_in(file.path.read_bytes(), "x")
    with Image.open(file.path) as picture:
        assert picture.info == {}


def test_the_picture_itself_is_the_same_with_and_without(tmp_path):
    assert saved(tmp_path / "a").digest == saved(tmp_path / "b", metadata=False).digest


def test_folders_of_this_machine_are_left_out(tmp_path):
    here = tmp_path / "model.safetensors"
    here.write_bytes(b"")
    document = {"nodes": {"a": {"type": "X", "source": str(here), "many": [str(here)], "path": "/not/there"}}}
    carried = json.loads(workflow_in(with_workflow(png(), document), "x"))
    assert carried["nodes"]["a"] == {
        "type": "X",
        "source": "model.safetensors",
        "many": ["model.safetensors"],
        "path": "/not/there",
    }


def test_a_picture_stays_a_picture(tmp_path):
    data = with_workflow(png(), flow())
    (tmp_path / "a.png").write_bytes(data)
    with Image.open(tmp_path / "a.png") as picture:
        picture.load()
        assert set(picture.info) == {"weft_workflow"}
    assert with_workflow(b"no png", flow()) == b"no png"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png(), "E-NOMETA x: no generation data; open a picture that weft made, or the workflow's own file"),
        (png(parameters="Steps: 3"), "E-NOMETA x: found A1111 parameters; try: weft import"),
        (
            png(prompt="{}", workflow="{}"),
            "E-NOMETA x: found a ComfyUI prompt and a ComfyUI workflow; try: weft import",
        ),
        (with_workflow(with_workflow(png(), FLOW), FLOW), "E-DUPKEY x: two workflows in one image"),
        (png(weft_workflow="{}")[:-20], "E-IMAGE x: damaged in chunk IDAT at"),
        (png(weft_workflow="{}").replace(b"{}", b"[]"), "E-IMAGE x: damaged in chunk iTXt at 33"),
    ],
)
def test_b67_b71_what_is_wrong_with_a_picture_is_said(data, message):
    with pytest.raises(WeftError) as found:
        workflow_in(data, "x")
    assert str(found.value).startswith(message)


def test_b69_a_text_that_expands_too_far_is_not_unpacked_whole():
    packed = zlib.compress(b" " * (50 << 20), 9)
    content = KEY.encode() + b"\0\1\0\0\0" + packed
    chunk = b"iTXt" + content
    bomb = len(content).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    plain = png()
    with pytest.raises(WeftError, match="E-BOMB x: text expands beyond 8"):
        workflow_in(PNG + plain[8:33] + bomb + plain[33:], "x")


def test_what_is_laid_out_is_the_same_json():
    assert json.loads(laid_out('{"a":[1,{"b":"é"}]}')) == {"a": [1, {"b": "é"}]}
    assert "é" in laid_out('{"a":"é"}')
    assert laid_out("{not json") == "{not json"
    assert laid_out("[" * 100_000) == "[" * 100_000


def test_b72_what_is_called_png_and_is_none_is_said(tmp_path):
    (tmp_path / "a.png").write_bytes(b"<?xml version='1.0'?>\n<svg/>")
    with pytest.raises(WeftError) as found:
        load(tmp_path / "a.png", registry=registry())
    assert "E-IMAGE" in str(found.value)
    assert "content is SVG, not PNG/JPEG/WebP" in str(found.value)
