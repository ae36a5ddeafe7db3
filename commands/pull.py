"""weft models pull: what would be fetched is announced, fetched once that was agreed to, and told of as it goes on.

With --jsonl a program is spoken to, a JSON object a line, and a line "yes" on standard input agrees in place of --yes:

    {"event": "offer", "source", "revision", "commit", "bytes", "here", "left_out", "files": [{"name", "size"}, ...]}
    {"event": "progress", "file", "at", "total"}      bytes; what was here before is among them
    {"event": "pulled", "source", "commit", "folder"}
    {"event": "error", "problems"}
"""

import argparse
import sys
import time

from commands.common import print_json
from commands.pace import Flow
from engine.errors import Problem, error
from engine.text import plural, size, visible
from nodes import pulling

EVERY = 0.2
"""Seconds between two words on how far it is."""


def pull(args: argparse.Namespace) -> int:
    """Announce, agree, fetch; returns the exit code."""
    if not args.words:
        raise error(Problem("E-CLI", "pull takes a model of the hub", "weft models pull OWNER/NAME"))
    source, *only = args.words
    found = pulling.offer(source, args.revision or "", args.variant or "", only, small=args.small)
    (_offer_as_event if args.jsonl else _announce)(found)
    if found.absent and not args.yes and not _agreed(args):
        raise error(Problem("E-CLI", "nothing was fetched", "add --yes to fetch it"))
    told = args.jsonl or sys.stderr.isatty()
    folder = pulling.fetch(found, _Progress(found, args.jsonl) if told else lambda file, at: None)
    if args.jsonl:
        print_json({"event": "pulled", "source": source, "commit": found.commit, "folder": str(folder)})
    elif args.json:
        print_json({"source": source, "revision": found.revision, "commit": found.commit, "folder": str(folder),
                    "fetched": sum(file.size for file in found.absent),
                    "files": [{"name": f.name, "size": f.size, "digest": f.digest} for f in found.files]})  # fmt: skip
    else:
        print(visible(str(folder), 4000))
        print(f'to pin it, write "revision": "{found.commit}" beside "source": "{source}"', file=sys.stderr)
    return 0


def _announce(found: pulling.Offer) -> None:
    here = found.total - found.bytes
    told = f", {size(here)} of it here already" if here else ""
    whole = f"{plural(len(found.files), 'file')}, {size(found.total)}{told}"
    print(f"{found.source} at {found.commit}: {whole}", file=sys.stderr)
    for file in found.absent:
        print(f"  {size(file.size):>10}  {file.name}", file=sys.stderr)
    if found.left_out:
        print(f"  left out: {plural(found.left_out, 'file')} of pickles, other variants or layouts", file=sys.stderr)


def _offer_as_event(found: pulling.Offer) -> None:
    absent = [{"name": file.name, "size": file.size} for file in found.absent]
    print_json({"event": "offer", "source": found.source, "revision": found.revision, "commit": found.commit,
                "bytes": found.bytes, "here": found.total - found.bytes, "left_out": found.left_out,
                "files": absent})  # fmt: skip


def _agreed(args: argparse.Namespace) -> bool:
    if not args.jsonl:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            return False
        print("fetch it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class _Progress:
    """Tells how much of all is here and how long the rest will take: on the terminal's line, or as events."""

    def __init__(self, found: pulling.Offer, as_events: bool) -> None:
        self._as_events = as_events
        self._total = found.total
        self._lacking = {file.name: found.lacking(file) for file in found.absent}
        self._flow = Flow(found.total)
        self._flow.tick(time.monotonic(), found.total - found.bytes)
        self._last = 0.0

    def __call__(self, file: pulling.Wanted, at: int) -> None:
        now = time.monotonic()
        self._lacking[file.name] = max(file.size - at, 0)
        if now < self._last + EVERY and at < file.size:
            return
        self._last = now
        done = self._total - sum(self._lacking.values())
        self._flow.tick(now, done)
        if self._as_events:
            print_json({"event": "progress", "file": file.name, "at": done, "total": self._total})
        else:
            end = "\n" if done >= self._total else ""
            print(f"\r\x1b[K{self._flow}  {visible(file.name, 60)}", end=end, file=sys.stderr, flush=True)
