"""Texts in PNG, WebP and JPEG, as Pillow writes them and as ComfyUI does; what is wrong with them is told in words."""

import io
import zlib

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import WeftError
from engine.pictures.container import dimensions, format_of
from engine.pictures.exif import block, texts_in
from engine.pictures.texts import XMP, Text, texts
from engine.pictures.write import with_blocks, with_chunks, without_texts

HARD = "a fox, é 狐 🦊\nNegative prompt: (x:1.2), \x1b[0m"


def saved(kind, mode="RGB", **how):
    out = io.BytesIO()
    Image.radial_gradient("L").resize((24, 16)).convert(mode).save(out, kind, **how)
    return out.getvalue()


def opened(data):
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        return picture


def chunk(kind, body):
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def test_every_kind_of_text_in_a_png():
    info = PngInfo()
    info.add_text("parameters", "é")
    info.add_text("prompt", '{"a": NaN}', zip=True)
    info.add_itxt("workflow", "狐")
    info.add_itxt("b", "c", zip=True)
    data = saved("PNG", pnginfo=info)
    late = data[:-12] + chunk(b"comf", b"late\0" + b"{}") + chunk(b"tEXt", "x\0ü".encode()) + data[-12:]
    expected = [
        ("parameters", "é"),
        ("prompt", '{"a": NaN}'),
        ("workflow", "狐"),
        ("b", "c"),
        ("late", "{}"),
        ("x", "ü"),
    ]
    assert texts(late) == expected


@pytest.mark.parametrize("kind", ["WEBP", "JPEG"])
def test_what_comfyui_writes_into_exif(kind):
    exif = Image.Exif()
    exif[0x0110] = 'prompt:{"1": {}}'
    exif[0x010F] = 'workflow:{"nodes": []}'
    exif[0x010E] = 'extra:"a"'
    exif[0x0131] = "a program: 1"
    found = texts(saved(kind, exif=exif))
    assert sorted(found) == sorted(
        [("prompt", '{"1": {}}'), ("workflow", '{"nodes": []}'), ("extra", '"a"'), ("Software", "a program: 1")]
    )


@pytest.mark.parametrize("encoding", ["utf-16-be", "utf-16-le", "utf-16"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_comment_in_either_byte_order(encoding, order):
    exif = Image.Exif()
    exif.endian = order
    exif[0x8769] = {0x9286: b"UNICODE\0" + "a fox, Steps: 3".encode(encoding)}
    assert texts(saved("JPEG", exif=exif)) == [("parameters", "a fox, Steps: 3")]


@pytest.mark.parametrize("head", [b"ASCII\0\0\0", bytes(8)])
def test_a_comment_in_ascii(head):
    exif = Image.Exif()
    exif[0x8769] = {0x9286: head + b"a fox\0"}
    assert texts(saved("WEBP", exif=exif)) == [("parameters", "a fox")]


@pytest.mark.parametrize(
    "data", [b"", b"MM\0*", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\x87\x69" * 400]
)
def test_damaged_exif_gives_what_can_be_read(data):
    assert list(texts_in(data)) == []


def test_a_table_that_leads_to_itself_ends():
    looped = b"MM\0*" + (8).to_bytes(4, "big") + b"\0\1" + b"\x87\x69\0\4\0\0\0\1\0\0\0\x08"
    assert list(texts_in(looped)) == []


def test_what_is_written_into_a_png_is_read_by_others():
    plain = saved("PNG")
    items = [Text("parameters", HARD), Text("weft_lock", "{}"), Text(XMP, "<x/>"), Text("short", "é")]
    data = with_chunks(plain, items)
    picture = opened(data)
    assert {key: picture.text[key] for key, _ in items} == dict(items)
    assert texts(data) == items
    assert without_texts(data) == plain


@pytest.mark.parametrize(("kind", "mode", "how"), [
    ("WEBP", "RGB", {"lossless": True}),
    ("WEBP", "RGBA", {"lossless": True}),
    ("WEBP", "RGB", {"quality": 50}),
    ("WEBP", "RGBA", {"quality": 50}),
    ("JPEG", "RGB", {}),
    ("JPEG", "L", {}),
    ("JPEG", "CMYK", {}),
])  # fmt: skip
def test_what_is_written_into_exif_and_xmp_is_read_by_others(kind, mode, how):
    plain = saved(kind, mode, **how)
    data = with_blocks(plain, block(HARD, "weft 1"), b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>")
    before, after = opened(plain), opened(data)
    assert after.getexif().get_ifd(0x8769)[0x9286][8:].decode("utf-16-be") == HARD
    assert after.getexif()[0x0131] == "weft 1"
    assert after.info["xmp"].rstrip(b"\0") == b"<x:xmpmeta>\xc3\xa9</x:xmpmeta>"
    assert (after.mode, after.size, after.tobytes()) == (before.mode, before.size, before.tobytes())
    found = dict(texts(data))
    assert found == {"parameters": HARD, "Software": "weft 1", XMP: "<x:xmpmeta>é</x:xmpmeta>"}
    assert not texts(without_texts(data))
    assert opened(without_texts(data)).tobytes() == before.tobytes()
    assert dimensions(data) == (24, 16)


def test_a_jpeg_holds_64_kb_of_exif_and_no_more():
    with pytest.raises(ValueError, match="a segment of a JPEG holds"):
        with_blocks(saved("JPEG"), block("a" * 40_000, "weft"), b"")


@pytest.mark.parametrize(("data", "message"), [
    (b"", "E-EMPTY x: the file is empty; get it again"),
    (b"<svg/>", "E-IMAGE x: content is SVG, not PNG/JPEG/WebP; convert it first"),
    (saved("PNG")[:-20], "E-IMAGE x: damaged in chunk IDAT at"),
    (with_chunks(saved("PNG"), [Text("a", "bc")]).replace(b"bc", b"cb"), "E-IMAGE x: damaged in chunk tEXt at 33; "),
    (saved("PNG")[:33] + chunk(b"zTXt", b"a\0\0nozip") + saved("PNG")[33:], "E-IMAGE x: damaged in chunk zTXt at 33"),
    (with_chunks(saved("PNG"), [Text("a", "b" * (8 << 20)), Text("c", "d")]), "E-BOMB x: text expands beyond 8 MiB"),
    (with_blocks(saved("WEBP"), b"", b"a" * (9 << 20)), "E-BOMB x: text expands beyond 8 MiB"),
    (with_blocks(saved("WEBP"), b"", b"a")[:-1], "E-IMAGE x: damaged at"),
])  # fmt: skip
def test_what_is_wrong_is_said(data, message):
    with pytest.raises(WeftError) as found:
        texts(data, "x")
    assert str(found.value).startswith(message)


def test_formats():
    assert [format_of(saved(kind)) for kind in ("PNG", "WEBP", "JPEG", "GIF")] == ["PNG", "WEBP", "JPEG", ""]
