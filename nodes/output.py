"""Writing files into the output folder: names from templates, never outside it, never over another file's content."""

import hashlib
from pathlib import Path

from engine.context import Context
from engine.files import keep
from engine.paths import expand_template, resolve_output
from engine.values import SavedFile


def output_path(ctx: Context, template: str, index: int | None = None) -> Path:
    """The file that a template names for this run; `index` numbers the pictures of one batch.

    Where several are saved and the template has no {index}, the number goes before the extension.
    """
    values = {**ctx.values, "index": index or 0, "variant": ctx.variant}
    if index is not None and "{index}" not in template:
        stem, dot, extension = template.rpartition(".")
        template = f"{stem}-{{index}}{dot}{extension}" if dot else f"{template}-{{index}}"
    return resolve_output(expand_template(template, values), ctx.settings.out)


def save_bytes(
    ctx: Context, template: str, data: bytes, *, mime: str, digest: str = "", index: int | None = None
) -> SavedFile:
    """Write `data` under the template's name. A file of that name with other content is kept: the new one gets the
    next free number, and a W-OUT says so."""
    target = output_path(ctx, template, index)
    path = keep(target, data)
    if path != target:
        hint = "put {seed} or {index} into the path, or give another --out"
        ctx.warn("W-OUT", f"{target.name} exists with other content; wrote {path.name}", hint, input="path")
    return SavedFile(path, digest or hashlib.sha256(data).hexdigest(), mime)
