"""The workflow that a picture carries: a PNG text chunk of its own, before the pixels, that no other program writes.

    weft_workflow (iTXt)    the workflow with every param and seed as it ran, as canonical JSON

Nothing of it is run or looked up by reading it. Files are named without the folders of the machine that made it.
"""

import json
import os
from collections.abc import Mapping
from typing import Any

from engine.errors import Place, Problem, error
from engine.pictures.container import PNG
from engine.pictures.texts import Text, texts
from engine.pictures.write import with_chunks

KEY = "weft_workflow"
_OTHERS = {"parameters": "A1111 parameters", "prompt": "a ComfyUI prompt", "workflow": "a ComfyUI workflow"}


def canonical(document: Mapping[str, Any]) -> str:
    """A workflow as JSON in one form: keys in their order, no spaces, files without folders of this machine."""
    return json.dumps(_shared(document), ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def laid_out(text: str) -> str:
    """The same JSON with a line for each value, for people; what is no JSON stays as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return text


def with_workflow(png: bytes, document: Mapping[str, Any]) -> bytes:
    """A PNG that carries a workflow. What is not a PNG, or a document without nodes, stays as it is."""
    if not png.startswith(PNG) or not document.get("nodes"):
        return png
    return with_chunks(png, [Text(KEY, canonical(document))])


def workflow_in(picture: bytes, name: str) -> str:
    """The text of the workflow in a picture, which messages call `name`.

    Raises E-NOMETA for a picture without one (naming what else it carries), E-DUPKEY for one with two, and what
    `engine.pictures.texts` raises of a file that is damaged or too large.
    """
    place = Place(name)
    carried = texts(picture, name)
    found = [text for key, text in carried if key == KEY]
    if len(found) > 1:
        raise error(Problem("E-DUPKEY", "two workflows in one image", "take the file as weft wrote it", place))
    if not found:
        others = list(dict.fromkeys(_OTHERS[key] for key, _ in carried if key in _OTHERS))
        what = f"found {' and '.join(others)}" if others else "no generation data"
        hint = "try: weft import" if others else "open a picture that weft made, or the workflow's own file"
        raise error(Problem("E-NOMETA", what, hint, place))
    return found[0]


def _shared(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shared(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_shared(item) for item in value]
    if isinstance(value, str) and len(value) < 4096 and "\0" not in value and os.path.isabs(value):
        return os.path.basename(value.rstrip("/\\")) if os.path.lexists(value) else value
    return value
