"""weft run --grid: the first picture of every variant of a sweep in one labelled picture."""

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from commands.inputs import Job
from engine.context import Context
from engine.errors import Problem, error
from engine.events import Listener
from engine.text import quoted
from nodes.draw import PAPER, grid
from nodes.image import pixel_digest
from nodes.output import save_bytes

NAME = "grid.png"
SWEEP = "weft_sweep"
"""The PNG text chunk of the grid with what each of its pictures sets, row by row."""
SMALL = 96
"""Pictures smaller than this many pixels are enlarged to about it, so that they can be seen beside their labels."""


def save_grid(job: Job, pictures: Mapping[int, Path], emit: Listener) -> dict[str, Any]:
    """Draw and save the grid; returns it as one of the outputs. Raises E-NOOUT where no variant saved a picture."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    if not pictures:
        what = "--grid needs pictures, and the workflow saves none"
        raise error(Problem("E-NOOUT", what, "add SaveImage", exit_code=1))
    opened = {}
    for variant, path in pictures.items():
        with Image.open(path) as picture:
            opened[variant] = picture.convert("RGB")
    # A variant that failed keeps its place, so that rows and columns still mean what they did.
    empty = Image.new("RGB", next(iter(opened.values())).size, PAPER)
    cells = [opened.get(variant, empty) for variant in range(len(job.variants))]
    scale = max(1, SMALL // max(side for cell in cells for side in cell.size))
    sheet = grid(cells, job.columns, [label(variant) for variant in job.variants], scale=scale)
    data = io.BytesIO()
    info = PngInfo()
    told = {"columns": job.columns, "variants": [_shared(variant) for variant in job.variants]}
    info.add_itxt(SWEEP, json.dumps(told, ensure_ascii=False, sort_keys=True))
    sheet.save(data, "PNG", pnginfo=info)
    context = Context(settings=job.settings, emit=emit)
    saved = save_bytes(context, NAME, data.getvalue(), mime="image/png", digest=pixel_digest(sheet))
    return {"path": str(saved.path), "digest": saved.digest, "mime": saved.mime, "node": "", "variant": None}


def _shared(variant: Mapping[str, Any]) -> dict[str, Any]:
    """A variant as others may see it: of files, their names without the folders of this machine."""
    return {
        name: os.path.basename(value) if isinstance(value, str) and _is_file(value) else value
        for name, value in variant.items()
    }


def _is_file(value: str) -> bool:
    return os.path.isabs(value) and len(value) < 4096 and "\0" not in value and os.path.lexists(value)


def label(variant: Mapping[str, Any]) -> str:
    """What is special about one variant: "steps=20 eta=0.5"."""
    return " ".join(f"{name}={v if isinstance(v, str) else quoted(v)}" for name, v in variant.items())
