"""Toy nodes with typed sockets, and short ways to write workflows of them: what the tests of the engine run on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from engine import document as documents
from engine.compile import check, compile
from engine.context import Context
from engine.document import Document
from engine.errors import Place, Problem, WeftError
from engine.graph import Workflow
from engine.inputs import folder_files, one_file
from engine.node import Input, Node, Seed
from engine.registry import Registry
from engine.values import Packed, Saved, Socket, register


@dataclass(frozen=True)
class Model:
    name: str


@dataclass(frozen=True)
class TinyModel(Model):
    """A kind of Model, which fits wherever one does."""


@dataclass(frozen=True)
class Clip:
    name: str


@dataclass(frozen=True)
class Latent:
    values: tuple[float, ...]


@dataclass(frozen=True)
class Image:
    values: tuple[float, ...]


def _packed(value: Any) -> Packed:
    return Packed(list(value.values))


register(Socket(Model, "MODEL", resident=True))
register(Socket(Clip, "CLIP"))
register(Socket(Latent, "LATENT", _packed, lambda packed: Latent(tuple(packed.meta)), numeric=True))  # type: ignore
register(Socket(Image, "IMAGE", _packed, lambda packed: Image(tuple(packed.meta)), numeric=True))  # type: ignore


class Loaded(NamedTuple):
    model: Model
    clip: Clip


class Load(Node):
    """A model and its clip."""

    version = 1
    name: str = Input("toy", about="which model")

    def run(self, ctx: Context) -> Loaded:
        return Loaded(Model(self.name), Clip(self.name))


class LoadTiny(Node):
    """A tiny model."""

    version = 1

    def run(self, ctx: Context) -> TinyModel:
        return TinyModel("tiny")


class Encode(Node):
    """A latent from a text."""

    version = 1
    clip: Clip
    text: str = Input(about="the prompt")

    def run(self, ctx: Context) -> Latent:
        return Latent(tuple(map(float, self.text.encode())))


class Sample(Node):
    """x' = x + scale * steps, with a seed."""

    version = 3
    model: Model
    latent: Latent | None = Input(None, about="where to start")
    steps: int = Input(about="denoising steps", ge=1, le=10000)
    scale: float = Input(7.0, ge=0, le=100, about="guidance")
    sampler: Literal["euler", "heun", "ddim"] = Input("euler", about="which sampler")
    seed: int = Seed()
    second_seed: int | None = Seed(about="a second noise")

    def run(self, ctx: Context) -> Latent:
        start = self.latent.values if self.latent else (0.0,)
        return Latent(tuple(v + self.scale * self.steps for v in start))


class Empty(Node):
    """Nothing yet, of a size."""

    version = 1
    width: int = Input(512, ge=16, le=16384, multiple_of=8, about="pixels")
    height: int = Input(512, ge=16, le=16384, multiple_of=8, about="pixels")
    batch: int = Input(1, ge=1, le=64, about="pictures")

    @classmethod
    def check(cls, literals: Mapping[str, Any]) -> Iterable[Problem]:
        bytes_needed = 12 * literals.get("width", 0) * literals.get("height", 0) * literals.get("batch", 0)
        if bytes_needed > 10**10:
            what = f"needs about {bytes_needed / 1e12:.1f} TB; limit 10 GB"
            yield Problem("E-LIMIT", what, "make it smaller", Place(input="width"))

    def run(self, ctx: Context) -> Latent:
        return Latent((0.0,) * self.batch)


class Decode(Node):
    """An image from a latent."""

    version = 1
    latent: Latent
    tile: int = Input(0, ge=0, about="pixels of a tile")

    def run(self, ctx: Context) -> Image:
        return Image(self.latent.values)


class Scale(Node):
    """y = factor * x."""

    version = 1
    image: Image
    factor: float = Input(1.0, about="by how much", ge=0.1, le=10, multiple_of=0.1)

    def run(self, ctx: Context) -> Image:
        return Image(tuple(self.factor * v for v in self.image.values))


class Maybe(Node):
    """An image, or nothing."""

    version = 1
    sure: bool = Input(False, about="whether there is one")

    def run(self, ctx: Context) -> Image | None:
        return Image((1.0,)) if self.sure else None


class Mix(Node):
    """The images side by side, weighted."""

    version = 1
    images: list[Image]
    weights: list[float] = Input([], about="one for each")
    labels: list[str] = Input([], about="one for each")
    values: dict = Input({}, about="anything")  # type: ignore[type-arg]

    def run(self, ctx: Context) -> Image:
        return Image(tuple(v for image in self.images for v in image.values))


class Count(Node):
    """A whole number."""

    version = 1
    value: int = Input(about="the number")

    def run(self, ctx: Context) -> int:
        return self.value


class Ratio(Node):
    """A number."""

    version = 1
    value: float = Input(about="the number")

    def run(self, ctx: Context) -> float:
        return self.value


class Open(Node):
    """An image from a file."""

    version = 1
    path: str = Input(about="a picture", files=one_file)

    def run(self, ctx: Context) -> Image:
        return Image((1.0,))


class OpenAll(Node):
    """The images of a folder."""

    version = 1
    folder: str = Input(about="pictures", files=folder_files("*.png", "*.jpg"))

    def run(self, ctx: Context) -> Image:
        return Image((1.0,))


class View(Node):
    """Shows whatever it gets."""

    version = 1
    effect = True
    value: object = Input(about="what to show")

    def run(self, ctx: Context) -> Saved:
        return Saved((), repr(self.value))


class Save(Node):
    """Writes an image."""

    version = 1
    effect = True
    image: Image
    path: str = Input("image.png", about="file name", template=True)

    def run(self, ctx: Context) -> Saved:
        return Saved((), self.path)


NODES = (Load, LoadTiny, Encode, Sample, Empty, Decode, Scale, Maybe, Mix, Count, Ratio, Open, OpenAll, View, Save)
REGISTRY = Registry()
REGISTRY.add(*NODES)


def flow(nodes: Mapping[str, Any], params: Mapping[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """A workflow file's value."""
    return {"format": 1, **({"params": dict(params)} if params else {}), "nodes": dict(nodes), **top}


def good(**changes: Any) -> dict[str, Any]:
    """A workflow with nothing wrong. `node__input=value` changes an input, `node=None` leaves a node out."""
    nodes: dict[str, dict[str, Any]] = {
        "base": {"type": "Load"},
        "text": {"type": "Encode", "clip": "@base.clip", "text": "a fox"},
        "sample": {"type": "Sample", "model": "@base.model", "latent": "@text", "steps": 20, "seed": 7},
        "decode": {"type": "Decode", "latent": "@sample"},
        "save": {"type": "Save", "image": "@decode"},
    }
    for name, value in changes.items():
        node, double, key = name.partition("__")
        if double:
            nodes[node][key] = value
        elif value is None:
            del nodes[node]
        else:
            nodes[node] = value
    return flow(nodes)


def document(source: str | object) -> Document:
    """The document in a file's text, or in a Python value."""
    if isinstance(source, str):
        return documents.from_text(source, "wf.json")
    return documents.from_value(source, "wf")


def built(source: str | object, targets: Iterable[str] = ()) -> Workflow:
    """The workflow, which must have nothing wrong."""
    return compile(document(source), REGISTRY, targets)


def told(source: str | object, targets: Iterable[str] = ()) -> list[str]:
    """The first line of every problem and note of a workflow, as a person reads them."""
    try:
        _, problems = check(document(source), REGISTRY, targets)
    except WeftError as why:
        problems = list(why.problems)
    return [str(problem).split("\n")[0] for problem in problems]
