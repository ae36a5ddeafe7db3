"""Golden files: what a view must print, to the letter.

To write them anew after a wanted change, run `WEFT_GOLDENS=write pytest tests/engine/views` and read the diff.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "goldens"


def check(name: str, text: str) -> None:
    path = FOLDER / name
    if os.environ.get("WEFT_GOLDENS") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")
