"""weft new --node-pack: a package that adds nodes, with one node, a test of it that passes, and how to install it."""

import keyword
import os
import re
import sys
from pathlib import Path

from engine.errors import Place, Problem, error
from engine.text import quoted, visible

NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*")
TAKEN = ("cli", "commands", "diffusion", "engine", "models", "nodes", "tests", "tui", "workflows")
"""weft's own packages."""

FILES = {
    "pyproject.toml": """\
[project]
name = "{name}"
version = "0.1.0"
description = "Nodes for weft"
requires-python = ">=3.11"

# weft finds the nodes by this entry point; its name is what weft doctor shows.
[project.entry-points."weft.nodes"]
{name} = "{module}:PACK"

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{module}"]
""",
    "{module}/__init__.py": '''\
"""Nodes for weft. `PACK` names the types of each module, so that weft imports only what a workflow needs."""

from engine.registry import Pack

PACK = Pack("{name}", {{"{module}.pictures": ("Posterize",)}})
''',
    "{module}/pictures.py": '''\
"""Nodes over pictures."""

from engine.context import Context
from engine.node import Input, Node
from nodes.sockets import Image


class Posterize(Node):
    """y = round((n - 1) x) / (n - 1): a picture in n levels of each colour."""

    version = 1
    image: Image
    levels: int = Input(4, ge=2, le=256, about="n")

    def run(self, ctx: Context) -> Image:
        import numpy as np

        steps = self.levels - 1
        return Image(np.round(self.image.pixels * steps) / np.float32(steps))
''',
    "tests/test_pictures.py": '''\
"""Posterize by itself, and in a workflow."""

import numpy as np
from {module} import PACK
from {module}.pictures import Posterize

import nodes
from engine.compile import check
from engine.context import Context
from engine.document import from_value
from engine.registry import Registry
from nodes.sockets import Image


def test_a_picture_keeps_so_many_levels():
    pixels = np.linspace(0, 1, 48, dtype=np.float32).reshape(1, 4, 4, 3)
    before = pixels.copy()
    made = Posterize(image=Image(pixels), levels=3).run(Context("n"))
    assert sorted(set(made.pixels.ravel().tolist())) == [0.0, 0.5, 1.0]
    assert np.array_equal(pixels, before), "a node never changes what it was given"


def test_a_workflow_may_use_it():
    workflow = {{
        "format": 1,
        "nodes": {{
            "in": {{"type": "LoadImage", "path": "fox.png"}},
            "few": {{"type": "Posterize", "image": "@in.image", "levels": 3}},
            "save": {{"type": "SaveImage", "image": "@few"}},
        }},
    }}
    _, problems = check(from_value(workflow), Registry([nodes.PACK, PACK]))
    assert not problems
''',
    "README.md": """\
# {name}

Nodes for weft. Install it into weft's own environment, and `weft nodes Posterize` knows it:

    pip install -e .
    python -m pytest

In a clone of weft: `uv pip install -e PATH`, and `uv run --no-sync weft nodes Posterize`.

A change of what a node computes raises its `version`, so that weft makes its results anew.
""",
}


def make(name: str, folder: str) -> int:
    """Make the package NAME in a new folder; returns the exit code. Raises E-NAME, E-CLI where there is something."""
    module = name.lower().replace("-", "_")
    taken = module in TAKEN or module in sys.stdlib_module_names or keyword.iskeyword(module)
    if not NAME.fullmatch(name) or len(name) > 64 or taken:
        why = "is taken by another package" if taken else "is no name for a package"
        raise error(Problem("E-NAME", f"{quoted(name)} {why}", "letters, digits and - between them, such as weft-fox"))
    target = Path(folder or name)
    where = Place(file=visible(str(target)))
    try:
        target.mkdir()
        for path, text in FILES.items():
            file = target / path.format(module=module)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.format(name=name, module=module), encoding="utf-8")
    except FileExistsError:
        raise error(Problem("E-CLI", "is there already, and is kept", "give another folder", where)) from None
    except OSError as why:
        what = f"cannot be written: {os.strerror(why.errno or 0)}"
        code = "E-PERM" if isinstance(why, PermissionError) else "E-DISK"
        raise error(Problem(code, what, "give another folder", where, exit_code=1)) from None
    print(visible(str(target), 4000))
    return 0
