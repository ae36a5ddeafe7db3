"""Getting a model from the hub into its cache: one commit, safetensors alone, every digest checked.

huggingface_hub lists the files of a commit with their sizes and digests, and knows the token. The files are fetched
here, since it begins one that was interrupted anew (2.4), and compares no digests. The cache is laid out as its own:

    blobs/DIGEST                     the content; DIGEST.weft-part while it is fetched, and after an interruption
    snapshots/COMMIT/FILE            a link to it
    refs/REVISION                    the commit that a branch or a tag stood at
"""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.request import Request, urlopen

from diffusion import hub
from engine.errors import Problem, WeftError, error
from engine.text import quoted, size, visible

WEIGHTS = ".safetensors"
SMALL = (".json", ".txt", ".model")
"""Configurations and tokenizers."""
PART = ".weft-part"
CHUNK = 1 << 20
PATIENCE = 30.0
"""Seconds without a byte after which the network is given up."""
VARIANT = re.compile(r"\.(fp16|bf16|fp32|fp8|ema|non_ema)(?=[.-])")
UNUSED = ("safety_checker", "feature_extractor")
"""Parts of pipelines that weft does not load."""
_COMMIT = re.compile("[0-9a-f]{40}")
_DIGEST = re.compile("[0-9a-f]{40}|[0-9a-f]{64}")

Tell = Callable[["Wanted", int], object]
"""Told of each file how many of its bytes are there."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of a commit. digest: SHA-256, or of a small file the SHA-1 that git calls it by."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, slots=True)
class Offer:
    """What would be fetched. files: all that is wanted; absent: those that are not in the cache yet."""

    source: str
    revision: str
    commit: str
    files: Sequence[Wanted]
    absent: Sequence[Wanted]
    left_out: int = 0
    """Files of weights that are not fetched: pickles, other variants, the same in other layouts."""
    urls: dict[str, str] = field(default_factory=dict)
    token: str = field(default="", repr=False)

    @property
    def total(self) -> int:
        """Bytes of all that is wanted."""
        return sum(file.size for file in self.files)

    @property
    def bytes(self) -> int:
        """What is still to be fetched, without the parts of files that are there."""
        return sum(map(self.lacking, self.absent))

    def lacking(self, file: Wanted) -> int:
        """Bytes of an absent file that are still to be fetched."""
        return max(file.size - _part_size(self.source, file), 0)


def offer(
    source: str, revision: str = "", variant: str = "", only: Sequence[str] = (), *, small: bool = False
) -> Offer:
    """Ask the hub what a model holds at a revision; fetches nothing else.

    only: patterns of the files that are wanted, in place of all that weft loads. Raises E-NOTFOUND, E-PICKLE where
    there are only pickles, E-PATH for names that lead elsewhere, and E-DIGEST for files without a digest.
    """
    if not hub.is_id(source):
        raise error(Problem("E-CLI", f"{quoted(source)} is no model of the hub", "write OWNER/NAME"))
    from huggingface_hub import HfApi, get_token, hf_hub_url

    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    with _problems(source, revision):
        info = api.model_info(source, revision=revision or None, files_metadata=True)
    commit = str(info.sha)
    if not _COMMIT.fullmatch(commit):
        raise error(Problem("E-DIGEST", f"the hub names no commit of {quoted(source)}, but {quoted(commit, 60)}"))
    files = [_wanted(one) for one in info.siblings or ()]
    chosen = [file for file in files if _chosen(file.name, only)] if only else choose(files, variant)
    if small:
        chosen = [file for file in chosen if not file.name.endswith(WEIGHTS)]
    weights = [file for file in files if file.name.endswith((WEIGHTS, ".bin", ".ckpt", ".pt", ".pth", ".msgpack"))]
    loads = small or only or any(file.name.endswith(WEIGHTS) for file in chosen)
    if not chosen or not loads:
        pickles = bool(weights) and not only
        what = f"{quoted(source)} has no {' or '.join(map(quoted, only)) or 'safetensors'}"
        hint = "weft fetches safetensors, and the JSON and text files beside them"
        code, exit_code = ("E-PICKLE", 5) if pickles else ("E-NOTFOUND", 3)
        raise error(Problem(code, what, hint, exit_code=exit_code))
    for file in chosen:
        if not _DIGEST.fullmatch(file.digest):
            raise error(Problem("E-DIGEST", f"the hub names no digest of {quoted(file.name)}; not fetched"))
    absent = [file for file in chosen if not _is_there(source, commit, file)]
    urls = {file.name: hf_hub_url(source, file.name, revision=commit, endpoint=api.endpoint) for file in absent}
    left = len([file for file in weights if file not in chosen])
    return Offer(source, revision or "main", commit, chosen, absent, left, urls, get_token() or "")


def choose(files: Sequence[Wanted], variant: str = "") -> list[Wanted]:
    """Of the files of a model those that weft loads: safetensors of one variant, configurations, tokenizers.

    Where a pipeline lies there in folders, the single files beside them are the same once more.
    """
    folders = any(file.name == "model_index.json" for file in files)
    kept = []
    for file in files:
        path = PurePosixPath(file.name)
        if path.suffix not in (WEIGHTS, *SMALL) or path.parts[0].startswith(".") or path.parts[0] in UNUSED:
            continue
        if not (folders and path.suffix == WEIGHTS and len(path.parts) == 1):
            kept.append(file)
    chosen = []
    for file in kept:
        kinds = {_variant(one.name) for one in kept if _is_weight(one.name) and _folder(one.name) == _folder(file.name)}
        best = variant if variant in kinds else "" if "" in kinds else min(kinds, default="")
        if not _is_weight(file.name) or _variant(file.name) == best:
            chosen.append(file)
    return chosen


def fetch(found: Offer, tell: Tell = lambda file, at: None) -> Path:
    """Fetch what is absent, and return the folder of the commit. What an interruption leaves is gone on with.

    Raises E-DISK where there is no room, E-DIGEST for a file that is not what was announced, which is not kept, and
    E-NOTFOUND where the hub does not answer.
    """
    from filelock import FileLock

    model = _model(found.source)
    (model / "blobs").mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(model).free
    if found.bytes > free:
        what = f"{size(found.bytes)} are to be fetched, and {size(free)} are free"
        raise error(Problem("E-DISK", what, "make room, or set HF_HUB_CACHE to another disk", exit_code=1))
    for file in found.absent:
        blob = model / "blobs" / file.digest
        with FileLock(f"{blob}.weft-lock"), _problems(found.source, found.revision):
            if not blob.exists():
                _get(found.urls[file.name], found.token, file, blob, tell)
        Path(f"{blob}.weft-lock").unlink(missing_ok=True)
        _link(model / "snapshots" / found.commit / file.name, blob)
    if not _COMMIT.fullmatch(found.revision):
        ref = model / "refs" / found.revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(found.commit)
    return model / "snapshots" / found.commit


def digest_of(path: Path, like: str) -> str:
    """The digest of a file, of the kind that another has: SHA-256, or git's SHA-1 of a blob."""
    seen = hashlib.sha256() if len(like) == 64 else hashlib.sha1(f"blob {path.stat().st_size}\0".encode())
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            seen.update(data)
    return seen.hexdigest()


def _get(url: str, token: str, file: Wanted, blob: Path, tell: Tell) -> None:
    """Fetch one file, from where an earlier try stopped."""
    part = blob.with_name(blob.name + PART)
    at = part.stat().st_size if part.is_file() else 0
    if at > file.size:
        part.unlink()
        at = 0
    if at < file.size or not at:
        request = Request(url, headers={"Range": f"bytes={at}-"} if at else {})
        if token:  # which is for the hub alone, not for where it sends us
            request.add_unredirected_header("Authorization", f"Bearer {token}")
        with urlopen(request, timeout=PATIENCE) as answer:
            at = at if answer.status == 206 else 0
            with part.open("ab" if at else "wb") as out:
                while data := answer.read(CHUNK):
                    at += len(data)
                    if at > file.size:
                        break
                    out.write(data)
                    tell(file, at)
                out.flush()
                os.fsync(out.fileno())
    if at < file.size:
        what = f"{file.name} ended after {size(at)} of {size(file.size)}"
        raise error(Problem("E-NOTFOUND", what, "the same command goes on from there", exit_code=3))
    if at > file.size or digest_of(part, file.digest) != file.digest:
        part.unlink()
        what = f"{file.name} is not what the hub announced, and was not kept"
        raise error(Problem("E-DIGEST", what, "try again; if it stays so, tell whoever runs the hub", exit_code=1))
    part.replace(blob)


def _link(path: Path, blob: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    try:
        path.symlink_to(os.path.relpath(blob, path.parent))
    except OSError:  # a system without links
        shutil.copyfile(blob, path)


def _model(source: str) -> Path:
    return hub.cache() / f"models--{source.replace('/', '--')}"


def _is_there(source: str, commit: str, file: Wanted) -> bool:
    path = _model(source) / "snapshots" / commit / file.name
    return path.is_file() and path.stat().st_size == file.size


def _part_size(source: str, file: Wanted) -> int:
    part = _model(source) / "blobs" / f"{file.digest}{PART}"
    return part.stat().st_size if part.is_file() else 0


def _wanted(sibling: Any) -> Wanted:
    name = str(sibling.rfilename)
    parts = name.split("/")
    if not all(parts) or ".." in parts or "\\" in name or ":" in name or visible(name, 1000) != name:
        raise error(Problem("E-PATH", f"the hub names a file {quoted(name)}; nothing was fetched", exit_code=5))
    lfs = sibling.lfs
    return Wanted(name, int(sibling.size or 0), str(lfs.sha256 if lfs is not None else sibling.blob_id or ""))


def _chosen(name: str, only: Sequence[str]) -> bool:
    return name.endswith((WEIGHTS, *SMALL)) and any(fnmatchcase(name, pattern) for pattern in only)


def _is_weight(name: str) -> bool:
    return name.endswith((WEIGHTS, f"{WEIGHTS}.index.json")) or ".safetensors.index." in name


def _variant(name: str) -> str:
    found = VARIANT.search(PurePosixPath(name).name)
    return found[1] if found else ""


def _folder(name: str) -> str:
    return str(PurePosixPath(name).parent)


@contextlib.contextmanager
def _problems(source: str, revision: str) -> Iterator[None]:
    """What the hub and the network answer, as problems."""
    from huggingface_hub import errors

    # what its own library for HTTP raises, which is another one in every major version
    failures: tuple[type[Exception], ...] = (getattr(errors, "HTTPError", OSError), OSError, HTTPException)

    at = f" at revision {quoted(revision)}" if revision and revision != "main" else ""
    model = f"{quoted(source)}{at}"
    try:
        yield
    except WeftError:
        raise
    except errors.GatedRepoError as why:
        hint = f"accept its licence at its page {source} on the hub, then: hf auth login"
        raise error(
            Problem("E-NOTFOUND", f"{model} is given to those alone who accept its licence", hint, exit_code=3)
        ) from why
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.RemoteEntryNotFoundError) as why:
        hint = "look at its name; one that is private needs hf auth login"
        raise error(Problem("E-NOTFOUND", f"the hub has no model {model}", hint, exit_code=3)) from why
    except errors.OfflineModeIsEnabled as why:
        raise error(Problem("E-NOTFOUND", "HF_HUB_OFFLINE is set", "unset it to fetch", exit_code=3)) from why
    except failures as why:
        said = visible(str(why).partition("\n")[0], 160)
        what = f"the hub does not answer: {type(why).__name__}: {said}"
        raise error(Problem("E-NOTFOUND", what, "the same command goes on where it stopped", exit_code=3)) from why
