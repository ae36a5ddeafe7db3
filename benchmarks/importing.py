"""What `weft import` makes of the tests' ComfyUI files, a line each: `uv run python benchmarks/importing.py`.

For each file: whether prompt and canvas become the same workflow, how many nodes it had and has, how many have no
match, how many differences are listed, and how long the prompt took.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "commands" / "importing")]


def main() -> int:
    """Print the table; returns 1 if a file becomes two workflows."""
    from forty import files

    from commands.importing.source import checked, imported
    from nodes import registry

    same = whole = 0
    known = registry()
    print(f"{'file':42} same  nodes  of ours  no match  differs    ms")
    with tempfile.TemporaryDirectory() as folder:
        for name, file in files().items():
            prompt, canvas = Path(folder) / "prompt.json", Path(folder) / "canvas.json"
            prompt.write_text(json.dumps(file.api()))
            canvas.write_text(json.dumps(file.ui()))
            began = time.process_time()
            made = imported(prompt)
            took = 1000 * (time.process_time() - began)
            alike = made.text == imported(canvas).text
            same += alike
            whole += not checked(made.text, known)
            print(
                f"{name:42} {'yes' if alike else 'NO':4} {made.nodes:6} {made.made:8} {len(made.unmatched):9} "
                f"{len(made.differs):8} {took:5.1f}"
            )
    count = len(files())
    print(
        f"{same} of {count} become one workflow from both forms; {whole} pass `weft check`, before it looks for files"
    )
    return 0 if same == count else 1


if __name__ == "__main__":
    sys.exit(main())
