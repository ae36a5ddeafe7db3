"""weft diff: what differs between two workflows, pictures, locks, bundles or runs, down to the input."""

import argparse
from typing import TYPE_CHECKING

from commands.common import print_json
from commands.subjects import opened
from engine.diff import ABSENT, compare
from engine.share.moved import moved

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the differences between A and B; returns 0 if there are none, 1 otherwise."""
    a, b = opened(args.a), opened(args.b)
    found = compare(a.document, b.document)
    others = []
    if a.lock is not None and b.lock is not None:
        others = [one for one in moved(a.lock, b.lock) if one.part != "workflow"]
    if args.json:
        rows: list[dict[str, object]] = []
        for difference in found:
            row: dict[str, object] = {"what": difference.what, "path": difference.path, "sign": difference.sign}
            row |= {} if difference.before is ABSENT else {"before": difference.before}
            row |= {} if difference.after is ABSENT else {"after": difference.after}
            rows.append(row)
        print_json({"equal": not found and not others, "differences": rows, "lock": [one.to_json() for one in others]})
    else:
        for one in (*found, *others):
            print(one)
    return 1 if found or others else 0
