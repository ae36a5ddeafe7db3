"""Plain values: numbers and text that several nodes share, arithmetic on them, and saving text."""

from typing import Literal

from engine.context import Context, Settings
from engine.node import Input, Node
from engine.values import Saved
from nodes.output import save_bytes


class Integer(Node):
    """A whole number, to feed several inputs from one place."""

    version = 1
    cached = False
    value: int = Input(0, about="the number")

    def run(self, ctx: Context) -> int:
        return self.value


class Number(Node):
    """A number, to feed several inputs from one place."""

    version = 1
    cached = False
    value: float = Input(0.0, about="the number")

    def run(self, ctx: Context) -> float:
        return self.value


class Text(Node):
    """A text, to feed several inputs from one place."""

    version = 1
    cached = False
    value: str = Input("", about="the text")

    def run(self, ctx: Context) -> str:
        return self.value


class Calculate(Node):
    """y = a (op) b for one operation of arithmetic."""

    version = 1
    a: float = Input(about="the left number")
    b: float = Input(0.0, about="the right number")
    op: Literal["add", "subtract", "multiply", "divide", "power", "min", "max"] = Input("add", about="the operation")

    def run(self, ctx: Context) -> float:
        a, b = self.a, self.b
        match self.op:
            case "add":
                return a + b
            case "subtract":
                return a - b
            case "multiply":
                return a * b
            case "divide":
                if b == 0:
                    raise ValueError("divided by zero; give b another value")
                return a / b
            case "power":
                result = a**b
                if isinstance(result, complex):
                    raise ValueError(f"{a:g} to the power {b:g} is not a real number")
                return float(result)
            case "min":
                return min(a, b)
            case "max":
                return max(a, b)


class JoinText(Node):
    """One text out of several, with a separator between them."""

    version = 1
    texts: list[str] = Input(about="the parts, in order")
    separator: str = Input(", ", about="stands between two parts")

    def run(self, ctx: Context) -> str:
        return self.separator.join(self.texts)


class SaveText(Node):
    """Write a text or a number to a file in the output folder, and show it."""

    version = 1
    effect = True
    value: str | float | int = Input(about="what to write")
    path: str = Input("text.txt", about="file name in the output folder; {param} is filled in", template=True)

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        """Always: writing waits for nothing that is computed."""
        return True

    def run(self, ctx: Context) -> Saved:
        text = self.value if isinstance(self.value, str) else repr(self.value)
        saved = save_bytes(ctx, self.path, (text.rstrip("\n") + "\n").encode(), mime="text/plain")
        return Saved((saved,), text)
