"""Toy nodes that run: what the tests of the executor and the cache are made of."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.context import Context, Settings
from engine.errors import MissingError, Problem
from engine.inputs import one_file
from engine.node import Input, Node
from engine.registry import Registry
from engine.values import Array, Packed, Saved, SavedFile, Socket, register

CALLS: list[str] = []
"""What ran, in order, as nodes note it themselves."""
HOOKS: dict[str, Callable[[], object]] = {}
"""Called by the node `Hook` of that name while it runs."""


@dataclass(frozen=True, eq=False)
class Tensor:
    """Bytes in place of a tensor. Weak references to it may be taken."""

    data: bytes


@dataclass(frozen=True)
class Trained:
    """A folder with two files, as a trained model leaves it."""

    folder: Path


@dataclass(frozen=True)
class Handle:
    """Something that cannot be stored."""

    name: str


def _files(value: Trained) -> Packed:
    return Packed({"kind": "trained"}, {}, {p.name: p for p in sorted(value.folder.iterdir()) if p.is_file()})


def _trained(packed: Packed) -> Trained:
    return Trained(next(iter(packed.files.values())).parent)


register(Socket(Tensor, "TENSOR", lambda t: Packed({}, {"x": Array("U8", (len(t.data),), t.data)}),
                lambda p: Tensor(bytes(p.arrays["x"].data)), numeric=True))  # fmt: skip
register(Socket(Trained, "TRAINED", _files, _trained, resident=True))
register(Socket(Handle, "HANDLE"))


class Source(Node):
    """A number."""

    version = 1
    value: int = Input(0)

    def run(self, ctx: Context) -> int:
        CALLS.append(f"source {self.value}")
        return self.value


class Add(Node):
    """y = a + b."""

    version = 1
    a: int
    b: int = Input(0)

    def run(self, ctx: Context) -> int:
        CALLS.append(f"{ctx.node} {self.a}+{self.b}")
        return self.a + self.b


class Values(Node):
    """A JSON object, as it is."""

    version = 1
    value: dict

    def run(self, ctx: Context) -> dict:
        return self.value


class Spoil(Node):
    """Changes its input, which no node may; returns how many keys it found."""

    version = 1
    value: dict
    tag: str = Input("")

    def run(self, ctx: Context) -> int:
        found = len(self.value["list"])
        self.value["list"].append("spoilt")
        return found


class Fill(Node):
    """`count` bytes of one value."""

    version = 1
    count: int = Input(1000)
    value: int = Input(0, ge=0, le=255)

    def run(self, ctx: Context) -> Tensor:
        CALLS.append(f"{ctx.node} {self.value}")
        return Tensor(bytes([self.value]) * self.count)


class Shift(Node):
    """Every byte plus `by`, in `steps` steps of `wait` seconds with progress."""

    version = 1
    tensor: Tensor
    by: int = Input(1)
    steps: int = Input(1)
    wait: float = Input(0.0)

    def run(self, ctx: Context) -> Tensor:
        CALLS.append(f"{ctx.node} {self.by}")
        for step in range(self.steps):
            time.sleep(self.wait)
            ctx.progress(step + 1, self.steps)
        return Tensor(bytes((b + self.by) % 256 for b in self.tensor.data))


class Sum(Node):
    """The sum of the bytes of several tensors."""

    version = 1
    tensors: list[Tensor]

    def run(self, ctx: Context) -> int:
        CALLS.append(ctx.node)
        return sum(sum(t.data) for t in self.tensors)


class Halves(NamedTuple):
    first: Tensor
    second: Tensor | None


class Split(Node):
    """The two halves of a tensor; an empty second half is none."""

    version = 1
    tensor: Tensor

    def run(self, ctx: Context) -> Halves:
        middle = (len(self.tensor.data) + 1) // 2
        rest = self.tensor.data[middle:]
        return Halves(Tensor(self.tensor.data[:middle]), Tensor(rest) if rest else None)


class Double(Node):
    """y = 2 x; several at once where the group is the same. Notes how many ran together."""

    version = 1
    x: int
    group: str = Input("a")
    trouble: int = Input(-1, about="the x that fails")

    def run(self, ctx: Context) -> int:
        CALLS.append(f"double {self.x}")
        if self.x == self.trouble:
            raise ValueError(f"{self.x} is trouble")
        return 2 * self.x

    def batch_key(self) -> str | None:
        return self.group or None

    @classmethod
    def run_batch(cls, nodes: Any, ctxs: Any) -> list[int]:
        CALLS.append(f"together {len(nodes)}")
        if any(n.x == n.trouble for n in nodes):
            raise ValueError("one of them is trouble")
        return [2 * n.x for n in nodes]


class Hook(Node):
    """Hands its input on, and does whatever the test wants meanwhile."""

    version = 1
    a: int = Input(0)
    hook: str = Input("")

    def run(self, ctx: Context) -> int:
        CALLS.append(ctx.node)
        if self.hook:
            HOOKS[self.hook]()
        return self.a


class Wrong(Node):
    """Returns what the hook gives, whether or not it is a number."""

    version = 1
    hook: str

    def run(self, ctx: Context) -> int:
        return HOOKS[self.hook]()  # type: ignore[return-value]


class WrongPair(Node):
    """Returns what the hook gives, whether or not it is a pair."""

    version = 1
    hook: str

    def run(self, ctx: Context) -> Halves:
        return HOOKS[self.hook]()  # type: ignore[return-value]


class Ranged(Node):
    """A number from 0 to 10."""

    version = 1
    a: int = Input(ge=0, le=10)

    def run(self, ctx: Context) -> int:
        return self.a


class Big(Node):
    """Has the sizes of a picture, and no memory for it."""

    version = 1
    width: int = Input(64)
    height: int = Input(64)
    batch: int = Input(1)
    tile: int = Input(0)
    a: int = Input(0)

    def run(self, ctx: Context) -> int:
        raise MemoryError


class Open(Node):
    """A handle: made again in each run."""

    version = 1
    name: str = Input("")

    def run(self, ctx: Context) -> Handle:
        CALLS.append(f"open {self.name}")
        return Handle(self.name)


class Use(Node):
    """The length of a handle's name."""

    version = 1
    handle: Handle

    def run(self, ctx: Context) -> int:
        CALLS.append("use")
        return len(self.handle.name)


class Train(Node):
    """Counts to `steps`, keeping a checkpoint in its scratch folder; leaves two files."""

    version = 1
    steps: int = Input(3)
    hook: str = Input("")

    def run(self, ctx: Context) -> Trained:
        state = ctx.scratch / "state"
        done = int(state.read_text()) if state.exists() else 0
        CALLS.append(f"train from {done}")
        for step in range(done, self.steps):
            state.write_text(str(step + 1))
            if self.hook:
                HOOKS[self.hook]()
            ctx.progress(step + 1, self.steps)
        made = ctx.scratch / "model"
        made.mkdir(exist_ok=True)
        (made / "config.json").write_text(json.dumps({"steps": self.steps}))
        (made / "model.safetensors").write_bytes(bytes(range(self.steps)) * 100)
        return Trained(made)


class Weigh(Node):
    """The names and sizes of a trained model's files."""

    version = 1
    model: Trained
    tag: str = Input("")

    def run(self, ctx: Context) -> str:
        CALLS.append("weigh")
        return " ".join(f"{p.name}={len(p.read_bytes())}" for p in sorted(self.model.folder.iterdir()))


class ReadText(Node):
    """The text of a file."""

    version = 1
    path: str = Input(files=one_file)
    hook: str = Input("")

    def run(self, ctx: Context) -> str:
        CALLS.append("read")
        text = (ctx.settings.folder / self.path).read_text()
        if self.hook:
            HOOKS[self.hook]()
        return text


class Missing(Node):
    """Wants a model that is not there."""

    version = 1
    a: int = Input(0)

    def run(self, ctx: Context) -> int:
        raise MissingError(Problem("E-NOTFOUND", "no such model", exit_code=3))


class Write(Node):
    """Write a value to a file."""

    version = 1
    effect = True
    value: object
    path: str = Input("out.txt", template=True)

    def run(self, ctx: Context) -> Saved:
        CALLS.append("write")
        data = self.value.data if isinstance(self.value, Tensor) else str(self.value).encode()
        name = self.path.format(**{**ctx.values, "variant": ctx.variant})
        path = ctx.settings.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return Saved((SavedFile(path, data.hex()[:40], "text/plain"),), text=name)


class Late(Node):
    """y = a + 1, aside; does whatever the test wants meanwhile."""

    version = 1
    a: object
    hook: str = Input("")

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        return True

    def run(self, ctx: Context) -> int:
        CALLS.append(f"late {self.a}")
        if self.hook:
            HOOKS[self.hook]()
        ctx.say(f"{ctx.node} was here")
        return (self.a if isinstance(self.a, int) else len(self.a)) + 1


class LateWrite(Write):
    """Write a value to a file, aside; does whatever the test wants before."""

    version = 1
    hook: str = Input("")

    @classmethod
    def runs_aside(cls, settings: Settings) -> bool:
        return True

    def run(self, ctx: Context) -> Saved:
        if self.hook:
            HOOKS[self.hook]()
        return super().run(ctx)


REGISTRY = Registry()
REGISTRY.add(
    Source, Add, Values, Spoil, Fill, Shift, Sum, Split, Double, Hook, Wrong, WrongPair, Ranged, Big, Open, Use, Train,
    Weigh, ReadText, Missing, Write, Late, LateWrite,
)  # fmt: skip
