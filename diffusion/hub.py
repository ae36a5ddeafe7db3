"""Models in the local cache of the Hugging Face hub, found without the network. Importing this file imports nothing.

    $HF_HUB_CACHE, or $HF_HOME/hub, or ~/.cache/huggingface/hub
        models--OWNER--NAME/
            refs/main                     the commit that a branch or a tag stood at when it was downloaded
            snapshots/COMMIT/…            the files of that commit

`weft models pull OWNER/NAME` puts a model there, and so does `hf download`.
"""

import os
import re
import shlex
from itertools import pairwise
from pathlib import Path

_COMMIT = re.compile("[0-9a-f]{40}")


def is_id(source: str) -> bool:
    """Whether a text looks like the id of a model on the hub, OWNER/NAME."""
    return re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", source) is not None


def cache() -> Path:
    """The folder of the cache, whether it is there or not."""
    for name, below in (("HF_HUB_CACHE", ""), ("HUGGINGFACE_HUB_CACHE", ""), ("HF_HOME", "hub")):
        if given := os.environ.get(name):
            return Path(given).expanduser() / below
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(above).expanduser() / "huggingface" / "hub"


def snapshot(source: str, revision: str = "") -> Path | None:
    """The folder with the files of a model at a revision (a branch, a tag or a commit; main where none is said).

    None if it was not downloaded, or at another revision only.
    """
    if not is_id(source):
        return None
    model = cache() / f"models--{source.replace('/', '--')}"
    name = revision or "main"
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)*", name) is None or ".." in name:
        return None
    commit = name
    if not _COMMIT.fullmatch(name):
        try:
            commit = (model / "refs" / name).read_text("ascii").strip()
        except (OSError, ValueError):
            return None
    found = model / "snapshots" / commit
    return found if _COMMIT.fullmatch(commit) and found.is_dir() else None


def commit_of(path: Path) -> str:
    """The commit that a folder of the cache, or a file in it, belongs to; empty if it lies elsewhere."""
    parts = path.parts
    found = [b for a, b in pairwise(parts) if a == "snapshots" and _COMMIT.fullmatch(b)]
    return found[-1] if found else ""


def how_to_get(source: str, revision: str = "", variant: str = "", only: str = "") -> str:
    """The command that downloads a model, or of it only what an option such as --small names."""
    options = [
        f"--{name} {shlex.quote(value)}" for name, value in (("revision", revision), ("variant", variant)) if value
    ]
    return " ".join(filter(None, ["weft models pull", source, *options, only]))
