"""What the picture of a sweep says of itself."""

from pathlib import Path

from commands.grid import _shared


def test_files_are_named_without_their_folders_and_texts_stay(tmp_path: Path) -> None:
    file = tmp_path / "fox.png"
    file.write_bytes(b"")
    variant = {"picture.path": str(file), "prompt": "/imagine a fox", "steps": 3, "odd": "/\x00"}
    assert _shared(variant) == {"picture.path": "fox.png", "prompt": "/imagine a fox", "steps": 3, "odd": "/\x00"}
