"""weft show: what a picture, a lock, a bundle or a workflow says of itself. Nothing of it is run or looked up."""

import argparse
from typing import TYPE_CHECKING, Any

from commands.common import print_json, table
from commands.report import shown
from commands.subjects import opened
from engine.share.subject import Subject
from engine.text import plural, quoted, size, visible

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print what FILE carries; returns 0."""
    subject = opened(args.file)
    if args.json:
        print_json(_json(subject))
    else:
        print("\n\n".join(filter(None, (_head(subject), _values(subject), _text(subject), _lock(subject)))))
    return 0


def _head(subject: Subject) -> str:
    name = subject.document.get("name") or subject.name
    lines = [f"{visible(str(name))}: {subject.kind} with {plural(len(subject.document['nodes']), 'node')}"]
    about = subject.document.get("about")
    lines += shown(about) if isinstance(about, str) and subject.kind == "workflow" else []
    if subject.found.source:
        lines.append(f"source type {subject.found.source}")
    return "\n".join(lines)


def _values(subject: Subject) -> str:
    params = subject.document.get("params") or {}
    values = {name: one.get("default") if isinstance(one, dict) else one for name, one in params.items()}
    return "\n".join(table([(visible(str(name)), quoted(value, 200)) for name, value in values.items()]))


def _text(subject: Subject) -> str:
    return "\n".join(shown(subject.found.parameters))


def _lock(subject: Subject) -> str:
    lock = subject.lock
    if lock is None:
        return "" if subject.kind == "workflow" else "no lock"
    rows = [("lock", lock.digest[:16])]
    for entry in (*lock.data["models"], *lock.data["inputs"]):
        whole = sum(int(one.get("size") or 0) for one in entry["files"])
        told = f"{quoted(entry.get('source'))}, {plural(len(entry['files']), 'file')}, {size(whole)}"
        if entry.get("revision"):
            told += f", revision {visible(str(entry['revision']), 12)}"
        rows.append((visible(f"{entry.get('node')}.{entry.get('input')}"), told))
    settings = lock.data["settings"]
    rows.append(("settings", visible(", ".join(f"{k} {_plain(v)}" for k, v in settings.items()), 200)))
    environment = lock.data["environment"]
    packages = environment.get("packages") if isinstance(environment.get("packages"), dict) else {}
    cpu = environment.get("cpu") if isinstance(environment.get("cpu"), dict) else {}
    made = [environment.get("python"), environment.get("os"), cpu.get("model")]
    made += [f"{name} {packages[name]}" for name in ("torch", "diffusers", "transformers") if name in packages]
    rows.append(("made with", visible(", ".join(str(one) for one in made if one), 300)))
    for name, digests in lock.data["outputs"].items():
        for digest in digests if isinstance(digests, list) else ():
            rows.append((visible(name), visible(str(digest), 64)))
    return "\n".join(table(rows))


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json(subject: Subject) -> dict[str, Any]:
    lock = subject.lock
    return {
        "kind": subject.kind,
        "workflow": subject.document,
        "parameters": subject.found.parameters,
        "source_type": subject.found.source,
        "lock": lock.data if lock is not None else None,
        "digest": lock.digest if lock is not None else None,
    }
