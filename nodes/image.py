"""Pictures: reading, writing, and setting them side by side."""

import functools
import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.context import Context, Settings
from engine.errors import Problem, error
from engine.files import keep
from engine.inputs import allowed_for
from engine.node import Input, Node
from engine.values import Saved, SavedFile
from nodes.draw import grid, to_pictures, to_pixels
from nodes.output import output_path, save_bytes
from nodes.picture_file import damaged, picture_file, pixels_only
from nodes.sockets import Image, Mask

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from engine.share.picture import Story

_FORMATS = {".png": ("PNG", "image/png"), ".webp": ("WEBP", "image/webp"), ".jpg": ("JPEG", "image/jpeg"),
            ".jpeg": ("JPEG", "image/jpeg")}  # fmt: skip


class Loaded(NamedTuple):
    """A picture and its mask."""

    image: Image
    mask: Mask


class LoadImage(Node):
    """A picture from a PNG, JPEG or WebP file in [0, 1], and a mask: 1 - alpha, or 0 where it has no alpha.

    It is turned as the camera was held (EXIF). 16-bit grey keeps its 16 bits; CMYK and palettes become sRGB; of an
    animation it is the first picture. What stands under transparent places is kept.
    """

    version = 2
    cached = False
    path: str = Input(about="a file beside the workflow", files=picture_file)

    def run(self, ctx: Context) -> Loaded:
        import numpy as np

        (path,) = picture_file(self.path, ctx.settings.folder, allowed_for(ctx.settings, ctx.node, "path"))
        picture = open_picture(path)
        alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
        if picture.mode.startswith("I"):  # 16 bits
            pixels = np.asarray(picture, np.float32)[None, ..., None] / 65535
        else:
            pixels = to_pixels([picture.convert("L" if picture.mode in ("1", "L", "LA") else "RGB")])
        holes = np.zeros(pixels.shape[:3], np.float32)
        return Loaded(Image(pixels), Mask(1 - np.asarray(alpha, np.float32)[None] / 255 if alpha else holes))


def open_picture(path: Path) -> "Picture":
    """The first picture in a file, decoded and turned upright. Raises E-IMAGE if it is damaged."""
    import warnings

    from PIL import Image as Pillow
    from PIL import ImageOps

    try:
        with warnings.catch_warnings():
            # its limit, and what it says of odd EXIF and palettes; ours was looked at in the header
            warnings.simplefilter("ignore")
            picture = Pillow.open(io.BytesIO(pixels_only(path.read_bytes())), formats=("PNG", "JPEG", "WEBP"))
            picture.load()
            return ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, EOFError) as why:
        raise damaged(path.name, f"in its pixels ({why})") from why


class SaveImage(Node):
    """Write every picture of a batch to a file in the output folder: PNG, WebP or JPEG by the name's ending.

    An 8-bit value is round(255 p). The file carries the workflow with every value as it ran and its lock, so that it
    can be opened, run again (`weft run image.png`) and compared (`weft reproduce image.png`), and what galleries read,
    unless --no-metadata is given. A JPEG has no room for both: they lie in a .lock file beside it. A file of the same
    name with other content is never overwritten.
    """

    version = 1
    effect = True
    image: Image
    path: str = Input("image.png", about="file name in the output folder; {param} and {index} are filled in",
                      template=True)  # fmt: skip

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        """Always: encoding and writing wait for nothing that is drawn."""
        return True

    def run(self, ctx: Context) -> Saved:
        pictures = to_pictures(self.image.pixels)
        digests = [pixel_digest(picture) for picture in pictures]
        encoded = [_encoded(self.path, picture) for picture in pictures]
        stories = ctx.in_front(lambda: _stories(ctx, pictures, digests))
        files = []
        for i, (data, digest, story) in enumerate(zip(encoded, digests, stories, strict=True)):
            files.append(_save(ctx, self.path, data, digest, i if len(pictures) > 1 else None, story))
        return Saved(tuple(files))


def _stories(ctx: Context, pictures: "Sequence[Picture]", digests: Sequence[str]) -> "Sequence[Story | None]":
    """How each picture of a batch was made; nothing without metadata, and for a node that runs by itself."""
    if not ctx.settings.metadata or ctx.page is None or not pictures:
        return [None] * len(pictures)
    from engine.share.picture import Story
    from nodes.parameters import made

    lock = ctx.page.lock(digests)
    told = made(ctx.page, "image", pictures[0].width, pictures[0].height, version())
    return [Story(lock, told.of(i), told.source) for i in range(len(pictures))]


def _encoded(template: str, picture: "Picture") -> bytes:
    """A picture as a file of the format that the template's ending names. Raises E-NAME."""
    ending = Path(template).suffix.lower()
    if ending not in _FORMATS:
        raise error(Problem("E-NAME", f"no picture format is called {ending or 'nothing'!r}", "end it in .png"))
    out = io.BytesIO()
    picture.save(out, _FORMATS[ending][0], compress_level=4, lossless=True, quality=95)
    return out.getvalue()


def _save(ctx: Context, template: str, data: bytes, digest: str, index: int | None, story: "Story | None") -> SavedFile:
    """Write one picture under the template's name, and beside it the lock that it has no room for."""
    if story is not None:
        from engine.share.picture import with_story

        target = output_path(ctx, template, index)
        data, beside = with_story(data, target.stem, story, f"weft {version()}")
        if beside is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
            keep(target.with_name(beside[0]), beside[1])
    mime = _FORMATS[Path(template).suffix.lower()][1]
    return save_bytes(ctx, template, data, mime=mime, digest=digest, index=index)


@functools.cache
def version() -> str:
    """weft's own version."""
    import importlib.metadata

    try:
        return importlib.metadata.version("weft")
    except importlib.metadata.PackageNotFoundError:
        return ""


def pixel_digest(picture: "Picture") -> str:
    """SHA-256 over mode, width, height and the rows: equal for equal pictures, whatever the file around them."""
    head = f"{picture.mode} {picture.width} {picture.height}\n".encode()
    return hashlib.sha256(head + picture.tobytes()).hexdigest()


class ImageGrid(Node):
    """Pictures side by side in one, with labels."""

    version = 1
    images: list[Image] = Input(about="pictures or batches, in order, row by row")
    columns: int = Input(4, ge=1, le=1000, about="pictures in a row")
    labels: list[str] = Input([], about="under each picture")
    row_labels: list[str] = Input([], about="left of each row")
    column_labels: list[str] = Input([], about="above each column")
    title: str = Input("", about="above everything")
    scale: int = Input(1, ge=1, le=64, about="enlarge each picture this many times")
    smooth: bool = Input(False, about="enlarge smoothly rather than pixel by pixel")
    gap: int = Input(4, ge=0, le=200, about="pixels between two pictures")

    def run(self, ctx: Context) -> Image:
        pictures = [picture for image in self.images for picture in to_pictures(image.pixels)]
        if not pictures:
            raise ValueError("there are no pictures to set side by side; link some to images")
        sheet = grid(
            pictures,
            self.columns,
            labels=self.labels,
            row_labels=self.row_labels,
            column_labels=self.column_labels,
            scale=self.scale,
            gap=self.gap,
            title=self.title,
            smooth=self.smooth,
        )
        return Image(to_pixels([sheet]))


class Stopwatch(Node):
    """How long it took to make a value, as text: the seconds measured when it was computed, also if it is cached now.

    A measurement, so another machine or another run of an emptied cache gives another text.
    """

    version = 1
    value: object = Input(about="what was made")
    template: str = Input("{seconds} s", about="the text; {seconds} is filled in")

    def run(self, ctx: Context) -> str:
        seconds = ctx.seconds("value")
        return self.template.replace("{seconds}", f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}")
