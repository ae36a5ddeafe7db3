"""weft diff: what differs between two workflows."""

import argparse
from typing import TYPE_CHECKING

from commands.common import print_json, read
from engine.diff import ABSENT, compare

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the differences between A and B; returns 0 if there are none, 1 otherwise."""
    found = compare(read(args.a).data, read(args.b).data)
    if args.json:
        rows: list[dict[str, object]] = []
        for difference in found:
            row: dict[str, object] = {"what": difference.what, "path": difference.path, "sign": difference.sign}
            row |= {} if difference.before is ABSENT else {"before": difference.before}
            row |= {} if difference.after is ABSENT else {"after": difference.after}
            rows.append(row)
        print_json({"equal": not found, "differences": rows})
    else:
        for difference in found:
            print(difference)
    return 1 if found else 0
