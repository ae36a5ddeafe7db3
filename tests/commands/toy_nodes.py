"""Nodes for the tests of the command line: slow, failing, warning and drawing ones."""

import time

import nodes
from engine.context import Context
from engine.errors import Problem, error
from engine.inputs import one_file
from engine.node import Input, Node, Seed
from engine.registry import Registry
from engine.values import Saved
from nodes.output import save_bytes


class Steps(Node):
    """Count steps, each of which takes a while."""

    version = 1
    steps: int = Input(3, ge=1, le=10_000, about="how many")
    pause: float = Input(0.0, about="seconds that each takes")

    def run(self, ctx: Context) -> int:
        for step in range(self.steps):
            time.sleep(self.pause)
            ctx.progress(step + 1, self.steps, f"loss {1 / (step + 1):.2f}")
        return self.steps


class Fail(Node):
    """Fail in one of several ways, or not at all."""

    version = 1
    value: float = Input(0.0, about="passed through")
    way: str = Input("value", about="value, surprise, missing or none")

    def run(self, ctx: Context) -> float:
        if self.way == "value":
            raise ValueError("there is nothing to add")
        if self.way == "missing":
            raise error(Problem("E-NOTFOUND", "no weights", exit_code=3))
        if self.way == "surprise":
            raise KeyError("spanner")
        return self.value


class Warn(Node):
    """Warn, and hide a control character in it."""

    version = 1
    value: float = Input(1.0, about="passed through")

    def run(self, ctx: Context) -> float:
        ctx.warn("W-TOKENS", "2 tokens cut", "say less", input="value")
        return self.value


class FallBack(Node):
    """A number, made in another way than was asked for."""

    version = 1

    def run(self, ctx: Context) -> float:
        ctx.fell_back("did it another way", "do it right")
        return 1.0


class Roll(Node):
    """A number that a seed decides."""

    version = 1
    seed: int = Seed()

    def run(self, ctx: Context) -> int:
        return self.seed % 100


class Say(Node):
    """Show a text and write no file."""

    version = 1
    effect = True
    text: str | int | float = Input(about="what to say")

    def run(self, ctx: Context) -> Saved:
        return Saved((), str(self.text))


class Length(Node):
    """How many bytes a file has."""

    version = 1
    path: str = Input(files=one_file, about="a file")

    def run(self, ctx: Context) -> int:
        (path,) = one_file(self.path, ctx.settings.folder, ("/",))
        return path.stat().st_size


class Swatch(Node):
    """Save a picture of one grey."""

    version = 1
    effect = True
    grey: int = Input(0, ge=0, le=255, about="how light")
    size: int = Input(16, ge=1, le=64, about="pixels a side")
    after: float = Input(0.0, about="only to wait for")
    path: str = Input("swatch.png", about="file name", template=True)

    def run(self, ctx: Context) -> Saved:
        import io

        from PIL import Image

        data = io.BytesIO()
        Image.new("L", (self.size, self.size), self.grey).save(data, "PNG")
        return Saved((save_bytes(ctx, self.path, data.getvalue(), mime="image/png"),))


def registry() -> Registry:
    """weft's own nodes and these."""
    found = nodes.registry()
    found.add(Steps, FallBack, Fail, Warn, Roll, Say, Length, Swatch)
    return found
