"""Teaching a word from a few pictures, and keeping it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from diffusion.recipes import ModelRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from engine.values import Saved
from nodes.compute import fitting
from nodes.learn_common import Average, FromModel, Rate, Steps, base_of, run_of, save_adapter, teaching, telling
from nodes.sockets import EmbeddingFile, Image, Losses

FILE = "embedding.safetensors"


class TrainedInversion(NamedTuple):
    """A word, the loss of every step, and the validation pictures, time after time."""

    embedding: EmbeddingFile
    losses: Losses
    validation: Image


class TrainTextualInversion(FromModel, Node):
    """Teach a model a word for what pictures show: v = argmin E w (o(x_t, t, c(v)) - target)^2, where v are the
    embeddings of the word, and everything else stays as it is (Gal et al. 2022).

    The vectors begin as those of a word that the model knows; SDXL has some in both text encoders. The new word stands
    in texts such as "a photo of a {}", or in the captions of the pictures. For Stable Diffusion and SDXL. What comes
    out goes to TextualInversion and to SaveTextualInversion. If it is stopped, the next run goes on from where it was,
    and ends on the same vectors.
    """

    version = 1
    numeric = True
    steps: int = Steps(1000)
    lr: float = Rate(2e-3)
    ema: float = Average(0.9)
    token: str = Input(about="the new word, one that the model does not know, such as <my-cat>")
    word: str = Input(about="a word that says about what the pictures show, to begin with, such as cat")
    vectors: int = Input(1, ge=1, le=75, about="tokens that the new word takes in a prompt")
    kind: Literal["object", "style", "captions"] = Input(
        "object", about="which texts it stands in: of a thing, of a style, or the captions of the pictures"
    )

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing. E-ARCH for a model that cannot be taught a word."""
        model = known.get("model")
        if isinstance(model, ModelRecipe) and model.family not in ("sd", "sdxl"):
            what = f"words are taught to Stable Diffusion and SDXL, and this is a model of the family {model.family}"
            raise error(Problem("E-ARCH", what, "teach it a LoRA with TrainLoRA", Place(input="model")))
        return {}

    def run(self, ctx: Context) -> TrainedInversion:
        from diffusion import training_inversion
        from diffusion.recipes import embedding_of
        from diffusion.store import STORE

        config = training_inversion.InversionTraining(
            **teaching(self), token=self.token, word=self.word, vectors=self.vectors, kind=self.kind
        )
        with STORE.using(), fitting():
            taught, losses, kept = training_inversion.train(
                base_of(self, ctx), self.dataset, config, run_of(self, ctx, self.dataset, config), telling(ctx)
            )
        about = {"base_model_digest": self.model.digest, "family": self.model.family}
        file = ctx.scratch / "model" / FILE
        training_inversion.write(file, taught, about)
        return TrainedInversion(embedding_of(file), Losses(losses), kept)


class SaveTextualInversion(Node):
    """Write a word that was taught into the output folder: its vectors as diffusers' load_textual_inversion and
    TextualInversion read them, and beside them the word, the digest of the model, and the workflow."""

    version = 1
    effect = True
    embedding: EmbeddingFile
    path: str = Input("word.safetensors", about="file name in the output folder; {param} is filled in", template=True)

    def run(self, ctx: Context) -> Saved:
        return save_adapter(ctx, Path(self.embedding.source).read_bytes(), self.path)
