"""A few nodes with the sockets of the real ones, which stay as they are while those grow. Snapshots show them."""

from typing import Literal, NamedTuple, NoReturn

from engine.context import Context
from engine.node import Input, Node, Seed
from engine.registry import Registry
from engine.values import Saved
from nodes.sockets import VAE, Conditioning, Image, Latent, Model, TextEncoder


class Networks(NamedTuple):
    """Of a model."""

    model: Model
    text_encoder: TextEncoder
    vae: VAE


def nothing() -> NoReturn:
    """What these nodes compute."""
    raise AssertionError("they are drawn, and never run")


class Load(Node):
    """The networks of a model."""

    version = 1
    source: str = Input(about="a folder")

    def run(self, ctx: Context) -> Networks:
        nothing()


class Encode(Node):
    """A text as a condition."""

    version = 1
    text_encoder: TextEncoder
    text: str = Input(about="what to draw")

    def run(self, ctx: Context) -> Conditioning:
        nothing()


class Sample(Node):
    """x_0 from noise: x_{t-1} = x_t - s eps(x_t, t).

    s is the size of a step.
    """

    version = 1
    model: Model
    positive: Conditioning
    negative: Conditioning | None = Input(None, about="what to push away from")
    latent: Latent | None = Input(None, about="where to begin")
    sampler: Literal["ddim", "euler", "heun"] = Input("ddim", about="which step law")
    steps: int = Input(20, ge=1, le=1000, about="more take longer")
    scale: float = Input(7.0, ge=0, le=100, about="guidance")
    seed: int = Seed()
    tiled: bool = Input(False, about="in pieces that fit into memory")

    def run(self, ctx: Context) -> Latent:
        nothing()


class Decode(Node):
    """Pixels from a latent."""

    version = 1
    vae: VAE
    latent: Latent

    def run(self, ctx: Context) -> Image:
        nothing()


class Save(Node):
    """A picture in a file."""

    version = 1
    effect = True
    image: Image
    path: str = Input("x.png", about="where; {seed} and other params may stand in it")

    def run(self, ctx: Context) -> Saved:
        nothing()


def registry() -> Registry:
    """Of these nodes alone."""
    found = Registry()
    found.add(Load, Encode, Sample, Decode, Save)
    return found


WORKFLOW = """{
  "format": 1,
  "params": {
    "seed": 7,
    "steps": {"default": 20, "min": 1, "max": 100, "about": "denoising steps"},
    "prompt": "a fox in snow"
  },
  "nodes": {
    "base": {"type": "Load", "source": "fox-model"},
    "positive": {"type": "Encode", "text_encoder": "@base.text_encoder", "text": "$prompt"},
    "negative": {"type": "Encode", "text_encoder": "@base.text_encoder", "text": "blurry"},
    "sample": {"type": "Sample", "model": "@base.model", "positive": "@positive", "negative": "@negative",
               "steps": "$steps", "seed": "$seed"},
    "hires": {"type": "Sample", "model": "@base.model", "positive": "@positive", "latent": "@sample",
              "scale": 4.5, "seed": "$seed"},
    "decode": {"type": "Decode", "vae": "@base.vae", "latent": "@hires"},
    "save": {"type": "Save", "image": "@decode", "path": "fox-{seed}.png"}
  }
}
"""
