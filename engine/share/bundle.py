"""A bundle: a workflow, its lock and the files that it reads, in one zip that is the same bytes for the same content.

    manifest.json     {"weft_bundle": 1, "files": {name: {"sha256": …, "size": …}}}
    workflow.json     the workflow with every value as it ran
    lock.json         the lock, as a lock's file has it
    inputs/SHA256     the files that the workflow reads
    outputs/NAME      what the run saved, where that was wanted

No weights, no code, no links. A bundle comes from anyone: it is read member by member into memory and never unpacked
as it says; what is not in the list above is refused (exit code 5).
"""

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import Place, Problem, WeftError, error
from engine.jsontext import parse
from engine.paths import is_safe_name
from engine.share.lock import Lock
from engine.share.lockfile import lock_in, lock_text
from engine.source import decode, read_bytes
from engine.text import quoted, size

FORMAT = 1
ENTRIES, BYTES, RATIO = 10_000, 1 << 30, 1000
"""What a bundle may hold at most: members, bytes of all of them, and bytes for each packed one."""
MANIFEST, WORKFLOW, LOCK = "manifest.json", "workflow.json", "lock.json"
_MEMBER = re.compile(r"(inputs/[0-9a-f]{64}|outputs/[^/\\]+|manifest\.json|workflow\.json|lock\.json)\Z")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds. inputs: content by SHA-256. outputs: by name."""

    lock: Lock
    inputs: Mapping[str, bytes] = field(default_factory=dict)
    outputs: Mapping[str, bytes] = field(default_factory=dict)


def write(bundle: Bundle) -> bytes:
    """The bytes of a bundle."""
    document = json.dumps(bundle.lock.document, indent=2, ensure_ascii=False) + "\n"
    members = {WORKFLOW: document.encode(), LOCK: lock_text(bundle.lock)}
    members |= {f"inputs/{name}": data for name, data in bundle.inputs.items()}
    members |= {f"outputs/{name}": data for name, data in bundle.outputs.items()}
    files = {name: {"sha256": _sha256(data), "size": len(data)} for name, data in sorted(members.items())}
    manifest = json.dumps({"weft_bundle": FORMAT, "files": files}, indent=1) + "\n"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, data in ((MANIFEST, manifest.encode()), *sorted(members.items())):
            member = zipfile.ZipInfo(name, _EPOCH)
            member.create_system = 3
            member.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(member, data)
    return out.getvalue()


def read(path: Path, name: str = "") -> Bundle:
    """The bundle in a file, which messages call `name`. Raises E-BUNDLE (exit code 5) for what no bundle may hold, what
    `lock_in` raises, and what reading a file raises."""
    name = name or path.name
    members = _members(read_bytes(path, BYTES, name), name)
    manifest = _json(members, MANIFEST, name)
    files = manifest.get("files")
    if manifest.get("weft_bundle") != FORMAT or not isinstance(files, dict):
        raise _refused(name, MANIFEST, "it is not that of a bundle of this weft")
    for member, data in members.items():
        said = files.get(member)
        if member != MANIFEST and (not isinstance(said, dict) or said.get("sha256") != _sha256(data)):
            raise _refused(name, member, "its SHA-256 is not the one in the manifest")
        if member.startswith("inputs/") and _sha256(data) != member[7:]:
            raise _refused(name, member, "its SHA-256 is not its name")
    for member in (*files, WORKFLOW, LOCK):
        if member not in members:
            raise _refused(name, member, "it is missing")
    lock = lock_in(decode(members[LOCK], f"{name} {LOCK}"))
    if _json(members, WORKFLOW, name) != lock.document:
        raise _refused(name, WORKFLOW, "it is not the workflow of the lock")
    inputs = {member[7:]: data for member, data in members.items() if member.startswith("inputs/")}
    return Bundle(lock, inputs, {m[8:]: data for m, data in members.items() if m.startswith("outputs/")})


def _members(data: bytes, name: str) -> dict[str, bytes]:
    """Every member with its content, once none of them is what no bundle may hold."""
    end = data.rfind(b"PK\x05\x06")
    if end < 0 or len(data) < end + 22:
        raise error(Problem("E-BUNDLE", "damaged: it ends early", "get it again", Place(name), exit_code=5))
    count = int.from_bytes(data[end + 10 : end + 12], "little")
    table = int.from_bytes(data[end + 12 : end + 16], "little")
    if count > ENTRIES or table > ENTRIES * 200:
        what = f"has {count} members, limit {ENTRIES}"
        raise error(Problem("E-BUNDLE", what, "it is not a bundle of weft", Place(name), exit_code=5))
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            for member, why in _wrong(infos):
                raise _refused(name, member, why)
            return {info.filename: archive.read(info) for info in infos}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, NotImplementedError, ValueError, RuntimeError) as why:
        raise error(Problem("E-BUNDLE", f"damaged: {why}", "get it again", Place(name), exit_code=5)) from why


def _wrong(infos: list[zipfile.ZipInfo]) -> Iterator[tuple[str, str]]:
    """(member, why) of what no bundle may hold. Looks at the table alone."""
    seen: dict[str, str] = {}
    total = 0
    if len(infos) > ENTRIES:
        yield infos[ENTRIES].filename, f"one of {len(infos)} members, limit {ENTRIES}"
    for info in infos:
        called = info.orig_filename
        mode = info.external_attr >> 16
        total += info.file_size
        if called.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", called):
            yield called, "an absolute path"
        elif ".." in re.split(r"[/\\]", called):
            yield called, "a path that leaves the bundle"
        elif mode and not stat.S_ISREG(mode) and stat.S_IFMT(mode):
            yield called, "a link or a device" if not stat.S_ISDIR(mode) else "a folder"
        elif called in seen:
            yield called, "stands twice"
        elif called.lower() in seen:
            yield called, f"differs from {quoted(seen[called.lower()])} by upper and lower case alone"
        elif not _MEMBER.match(called) or (called.startswith("outputs/") and not is_safe_name(called[8:])):
            yield called, "no member that a bundle has"
        elif info.flag_bits & 1:
            yield called, "encrypted"
        elif info.file_size > RATIO * max(info.compress_size, 1):
            yield called, f"expands more than {RATIO} times"
        elif total > BYTES:
            yield called, f"with it there are more than {size(BYTES)}"
        seen[called] = seen[called.lower()] = called


def _json(members: Mapping[str, bytes], member: str, name: str) -> dict[str, Any]:
    if member not in members:
        raise _refused(name, member, "it is missing")
    value = parse(decode(members[member], f"{name} {member}")).value
    if not isinstance(value, dict):
        raise _refused(name, member, "it is no object")
    return value


def _refused(name: str, member: str, why: str) -> WeftError:
    what = f"entry {quoted(member)}: {why}"
    return error(Problem("E-BUNDLE", what, "nothing was taken out of it", Place(name), exit_code=5))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
