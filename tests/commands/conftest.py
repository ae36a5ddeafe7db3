"""Running a command as a person would, in a folder of its own."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import toy_nodes
from sums import SUMS

import cli


@dataclass(frozen=True)
class Answer:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


Weft = Callable[..., Answer]


@pytest.fixture
def weft(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Weft:
    """`weft("run", "sums.json")` in an empty folder with an empty cache; dicts become files first."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEFT_CACHE", str(tmp_path / "cache"))
    (tmp_path / "sums.json").write_text(json.dumps(SUMS))

    def run(*words: str, **files: object) -> Answer:
        for name, value in files.items():
            (tmp_path / f"{name}.json").write_text(value if isinstance(value, str) else json.dumps(value))
        capfd.readouterr()
        code = cli.main(list(words), toy_nodes.registry())
        found = capfd.readouterr()
        return Answer(code, found.out, found.err)

    return run
