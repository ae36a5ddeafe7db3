"""Models made of others."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from diffusion.recipes import ModelRecipe, TextEncoderRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.compute import fitting, models
from nodes.load import Checkpoint
from nodes.patch import check_weights
from nodes.sockets import Model, TextEncoder


class MergeModels(Node):
    """The weighted mean of two models of one make, denoiser and text encoders: w = (1 - share) w_a + share w_b.

    For two trainings that began with the same model, whose mean often draws better than either (model soups, Wortsman
    et al. 2022), and for styles halfway between two checkpoints of a family. Without the text encoders, those of the
    first stay as they are. Tokenizers, VAE and schedule are those of the first. LoRAs on either are part of its
    weights. What comes out is kept in the dtype of the first's files.
    """

    version = 2
    model: Model
    text_encoder: TextEncoder | None = Input(None, about="default: of the model, and not merged")
    other_model: Model
    other_text_encoder: TextEncoder | None = None
    share: float = Input(0.5, ge=0, le=1, about="of the other model; 0: the first, 1: the other")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing. E-ARCH for two that cannot be merged."""
        _check(known.get(name) for name in ("model", "other_model", "text_encoder", "other_text_encoder"))
        return {}

    def run(self, ctx: Context) -> Checkpoint:
        from diffusion import derived
        from diffusion.clip import TextEncoders
        from diffusion.folder import NETWORKS
        from diffusion.merging import merge

        texts = [one for one in (self.text_encoder, self.other_text_encoder) if one is not None]
        if len(texts) == 1:
            what, hint = "text encoders of one of two models", "link those of both, or of neither"
            raise error(Problem("E-ARCH", what, hint, Place(input="other_text_encoder")))
        _check((self.model, self.other_model, *texts))
        for name in ("model", "other_model", "text_encoder", "other_text_encoder"):
            check_weights(**{name: getattr(self, name)})
        with models(ctx), fitting():
            one, other = map(derived.fresh, (self.model, self.other_model))
            parts = {NETWORKS[self.model.family]: merge(one, other, self.share)}
            if texts:
                reader, second = (cast(TextEncoders, derived.fresh(each)).named_parts() for each in texts)
                parts |= {name: merge(part, second[name], self.share) for name, part in reader.items()}
            derived.write(ctx.scratch / "model", self.model, self.text_encoder, parts=parts)
        return Checkpoint(*derived.recipes(ctx.scratch / "model"))


def _check(given: Iterable[object]) -> None:
    """E-ARCH for recipes that are not all of one family, or of one that has no such parts."""
    from diffusion.folder import NETWORKS
    from diffusion.identify import called

    known = [one for one in given if isinstance(one, ModelRecipe | TextEncoderRecipe)]
    if len(families := sorted({called(one.family) for one in known})) > 1:
        what = f"models of one family can be merged, and these are {' and '.join(families)}"
        raise error(Problem("E-ARCH", what, "take two of one family", Place(input="other_model")))
    if known and known[0].family not in NETWORKS:
        what = f"{called(known[0].family)} is not merged here"
        raise error(Problem("E-ARCH", what, "take two models of Stable Diffusion, SDXL, SD3 or Flux"))
