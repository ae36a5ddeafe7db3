"""weft schema: a JSON Schema of workflow files, so that an editor completes and checks them."""

import argparse
import json
from typing import TYPE_CHECKING

from commands.common import known_nodes
from engine.schema import schema

if TYPE_CHECKING:
    from engine.registry import Registry


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Print the schema; returns the exit code."""
    print(json.dumps(schema(known_nodes(registry)), indent=2))
    return 0
