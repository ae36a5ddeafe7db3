"""Pictures that are none, that are damaged, or that would fill the memory: told in words before anything runs."""

import io
import time
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from engine.api import load
from engine.context import Context, Settings
from engine.errors import WeftError
from engine.inputs import check_files
from engine.pictures.container import PNG
from nodes import registry
from nodes.image import LoadImage
from nodes.picture_file import check_picture


def chunk(kind: bytes, body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")


def header(width: int, height: int) -> bytes:
    return PNG + chunk(b"IHDR", width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0")


def png(info: PngInfo | None = None) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(out, "PNG", pnginfo=info)
    return out.getvalue()


def titled() -> bytes:
    info = PngInfo()
    info.add_text("Title", "a red square")
    return png(info)


def bomb(kind: bytes, head: bytes, size: int = 50 << 20) -> bytes:
    return header(8, 8) + chunk(kind, head + zlib.compress(b"a" * size)) + png()[33:]


def jpeg() -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", (8, 8), "red").save(out, "JPEG")
    return out.getvalue()


def webp(width: int, height: int) -> bytes:
    body = b"WEBPVP8X" + (10).to_bytes(4, "little") + bytes(4)
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def large_jpeg() -> bytes:
    data = bytearray(jpeg())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (20_000).to_bytes(2, "big") * 2
    return bytes(data)


AT = titled().index(b"tEXt") - 4
IDAT = png().index(b"IDAT") - 4
BAD: dict[str, tuple[bytes, str]] = {
    "i68_text_with_a_bad_checksum": (
        titled().replace(b"a red square", b"a red circle"),
        f"E-IMAGE: a.png: damaged in chunk tEXt at {AT}; get it again",
    ),
    "i68_cut_short": (png()[: IDAT + 20], f"E-IMAGE: a.png: damaged in chunk IDAT at {IDAT}; "),
    "i68_without_an_end": (png()[:-12], f"E-IMAGE: a.png: damaged at {len(png()) - 12}: it ends before its chunk IEND"),
    "i68_zeros_in_the_middle": (png()[:IDAT] + bytes(64), f"E-IMAGE: a.png: damaged in chunk 00000000 at {IDAT}; "),
    "a_header_of_another_length": (
        PNG + chunk(b"IHDR", b"\0") + png()[33:],
        "E-IMAGE: a.png: damaged in chunk IHDR at 8",
    ),
    "a_jpeg_header_that_ends": (jpeg()[:20], "E-IMAGE: a.png: damaged in its header at 20"),
    "a_webp_that_ends": (webp(8, 8)[:25], "E-IMAGE: a.png: damaged at 25: it says that it has 30 bytes"),
    "i69_ztxt": (bomb(b"zTXt", b"x\0\0"), "E-BOMB: a.png: text expands beyond 8 MiB"),
    "i69_itxt": (bomb(b"iTXt", b"x\0\1\0\0\0"), "E-BOMB: a.png: text expands beyond 8 MiB"),
    "i69_many_texts": (
        header(8, 8) + chunk(b"zTXt", b"x\0\0" + zlib.compress(b"a" * (3 << 20))) * 3 + png()[33:],
        "E-BOMB: a.png: text expands beyond 8 MiB",
    ),
    "i70_png": (header(20_000, 20_000) + bytes(900), "E-BOMB: a.png: 400 Mpx, limit 64"),
    "i70_jpeg": (large_jpeg(), "E-BOMB: a.png: 400 Mpx, limit 64"),
    "i70_webp": (webp(16_000, 16_000), "E-BOMB: a.png: 256 Mpx, limit 64"),
    "i72_svg": (b"<?xml version='1.0'?>\n<!-- x -->\n<svg/>", "E-IMAGE: a.png: content is SVG, not PNG/JPEG/WebP"),
    "i72_html": (
        b"\n<!DOCTYPE html><html><svg/></html>",
        "E-IMAGE: a.png: content is HTML, not PNG/JPEG/WebP; it is a web page; get the picture itself",
    ),
    "i72_zip": (b"PK\x03\x04" + bytes(40), "E-IMAGE: a.png: content is a zip archive, not PNG/JPEG/WebP; convert it"),
    "i72_pdf": (b"%PDF-1.7\n", "E-IMAGE: a.png: content is PDF, not PNG/JPEG/WebP; convert it first"),
    "i72_gif": (b"GIF89a" + bytes(20), "E-IMAGE: a.png: content is GIF, not PNG/JPEG/WebP"),
    "i72_avif": (bytes(3) + b"\x20ftypavif", "E-IMAGE: a.png: content is AVIF, not PNG/JPEG/WebP"),
    "i72_anything": (b" " * 5000, "E-IMAGE: a.png: content is of an unknown kind, not PNG/JPEG/WebP"),
    "empty": (b"", "E-EMPTY: a.png: the file is empty; get it again"),
}


@pytest.mark.parametrize("case", BAD)
def test_it_is_found_in_the_bytes(tmp_path: Path, case: str) -> None:
    data, message = BAD[case]
    (tmp_path / "a.png").write_bytes(data)
    start = time.perf_counter()
    with pytest.raises(WeftError) as found:
        check_picture(tmp_path / "a.png")
    assert str(found.value).startswith(message)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize(
    ("path", "code", "exit_code"),
    [
        ("../a.png", "E-PATH", 5),
        ("/etc/passwd", "E-PATH", 5),
        ("C:\\a.png", "E-PATH", 5),
        ("\\\\server\\a.png", "E-PATH", 5),
        ("file:///a.png", "E-PATH", 5),
        ("~/a.png", "E-PATH", 5),
        ("link.png", "E-PATH", 5),
        ("https://example.com/a.png", "E-URL", 2),
        ("b.png", "E-NOTFOUND", 3),
        ("folder", "E-NOTFILE", 2),
        ("page.png", "E-IMAGE", 2),
        ("large.png", "E-BOMB", 2),
    ],
)
def test_weft_check_says_so_and_where(tmp_path: Path, path: str, code: str, exit_code: int) -> None:
    folder = tmp_path / "here"
    (folder / "folder").mkdir(parents=True)
    (tmp_path / "a.png").write_bytes(png())
    (folder / "link.png").symlink_to(tmp_path / "a.png")
    (folder / "page.png").write_bytes(b"<html>")
    (folder / "large.png").write_bytes(header(20_000, 20_000))
    file = folder / "flow.json"
    nodes = '{"in": {"type": "LoadImage", "path": PATH}, "out": {"type": "SaveImage", "image": "@in.image"}}'
    file.write_text('{"format": 1, "nodes": ' + nodes.replace("PATH", f'"{path}"'.replace("\\", "\\\\")) + "}")
    (problem,) = check_files(load(file, registry=registry()))
    assert (problem.code, problem.exit_code, problem.place.node, problem.place.input) == (code, exit_code, "in", "path")
    assert problem.place.line == 1


def test_what_is_refused_takes_little_memory(tmp_path: Path) -> None:
    for case, (data, _) in BAD.items():
        (tmp_path / case).write_bytes(data)
    tracemalloc.start()
    for case in BAD:
        with pytest.raises(WeftError):
            check_picture(tmp_path / case)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 32 << 20


def read(tmp_path: Path, picture: Pillow.Image, name: str = "a.png", **how: object) -> tuple[np.ndarray, np.ndarray]:
    picture.save(tmp_path / name, **how)
    image, mask = LoadImage(path=name).run(Context(node="n", settings=Settings(folder=tmp_path)))
    return image.pixels, mask.values


def test_damage_in_the_pixels_is_an_error_in_words(tmp_path: Path) -> None:
    broken = png()
    body = bytearray(broken[IDAT + 8 : IDAT + 8 + int.from_bytes(broken[IDAT : IDAT + 4], "big")])
    (tmp_path / "a.png").write_bytes(broken[:IDAT] + chunk(b"IDAT", bytes(body[:5])) + chunk(b"IEND", b""))
    with pytest.raises(WeftError, match=r"E-IMAGE: a\.png: damaged in its pixels") as found:
        LoadImage(path="a.png").run(Context(node="n", settings=Settings(folder=tmp_path)))
    assert found.value.exit_code == 2


def test_a_text_longer_than_pillow_reads_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bomb(b"zTXt", b"x\0\0", size=7 << 20))
    image, _ = LoadImage(path="a.png").run(Context(node="n", settings=Settings(folder=tmp_path)))
    assert image.pixels[0, 0, 0].tolist() == [1, 0, 0]


def test_a_picture_is_turned_as_the_camera_was_held(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the right side was up
    for name in ("a.png", "a.jpg", "a.webp"):
        pixels, mask = read(tmp_path, Pillow.new("RGB", (8, 4), "red"), name, exif=exif)
        assert (pixels.shape, mask.shape) == ((1, 8, 4, 3), (1, 8, 4))


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    pixels, mask = read(tmp_path, Pillow.fromarray(np.array([[0, 1, 32768, 65535]], np.uint16)))
    assert pixels.dtype == np.float32
    assert pixels.ravel().tolist() == pytest.approx([0, 1 / 65535, 32768 / 65535, 1])
    assert not mask.any()


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, [1]),
        ("L", 51, [0.2]),
        ("LA", (51, 255), [0.2]),
        ("RGBA", (255, 51, 0, 0), [1, 0.2, 0]),
        ("RGB", (255, 51, 0), [1, 0.2, 0]),
    ],
)
def test_every_mode_of_a_png(tmp_path: Path, mode: str, colour: object, expected: list[float]) -> None:
    pixels, _ = read(tmp_path, Pillow.new(mode, (4, 4), colour))
    assert pixels[0, 0, 0].tolist() == pytest.approx(expected)


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    picture = Pillow.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 0, 255])
    picture.putpixel((1, 0), 1)
    pixels, mask = read(tmp_path, picture, transparency=1)
    assert pixels[0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    assert mask[0, 0].tolist() == [0, 1]


def test_cmyk_becomes_srgb(tmp_path: Path) -> None:
    pixels, _ = read(tmp_path, Pillow.new("CMYK", (16, 16), (0, 255, 255, 0)), "a.jpg")
    assert pixels[0, 0, 0].tolist() == pytest.approx([1, 0, 0], abs=0.02)


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_of_an_animation_it_is_the_first_picture(tmp_path: Path, name: str) -> None:
    more = [Pillow.new("RGB", (4, 4), "blue")]
    pixels, _ = read(tmp_path, Pillow.new("RGB", (4, 4), "red"), name, save_all=True, append_images=more, lossless=True)
    assert pixels.shape == (1, 4, 4, 3)
    assert pixels[0, 0, 0].tolist() == [1, 0, 0]
