"""Models made of others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from diffusion.recipes import ModelRecipe, TextEncoderRecipe
from engine.context import Context
from engine.errors import Place, Problem, error
from engine.node import Input, Node
from nodes.compute import fitting, models
from nodes.load import Checkpoint
from nodes.sockets import Model, TextEncoder


class MergeModels(Node):
    """The weighted mean of two models of one make, denoiser and text encoders: w = (1 - share) w_a + share w_b.

    For two trainings that began with the same model, whose mean often draws better than either (model soups, Wortsman
    et al. 2022), and for styles halfway between two checkpoints of a family. Tokenizers, VAE and schedule are those of
    the first. Both are folders in diffusers layout, or come from a training.
    """

    version = 1
    numeric = True
    model: Model
    text_encoder: TextEncoder
    other_model: Model
    other_text_encoder: TextEncoder
    share: float = Input(0.5, ge=0, le=1, about="of the other model; 0: the first, 1: the other")

    @classmethod
    def foresee(cls, known: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
        """Nothing. E-ARCH for two that cannot be merged."""
        given = [known.get(name) for name in ("model", "other_model", "text_encoder", "other_text_encoder")]
        _check([one for one in given if isinstance(one, ModelRecipe | TextEncoderRecipe)])
        return {}

    def run(self, ctx: Context) -> Checkpoint:
        from diffusion import derived
        from diffusion.clip import TextEncoders
        from diffusion.folder import NETWORKS
        from diffusion.merging import merged

        pair, texts = (self.model, self.other_model), (self.text_encoder, self.other_text_encoder)
        _check([*pair, *texts])
        with models(ctx) as store, fitting():
            # float32 whatever they are drawn in: a mean of rounded weights would be rounded once more
            one, other = (store.load(each, ctx.device, "float32") for each in pair)
            parts = {NETWORKS[self.model.family]: merged(one, other, self.share)}
            reader, second = (cast(TextEncoders, store.load(each, ctx.device, "float32")) for each in texts)
            others = second.named_parts()
            for name, part in reader.named_parts().items():
                parts[name] = merged(part, others[name], self.share)
        derived.write(Path(self.model.source), ctx.scratch / "model", parts)
        return Checkpoint(*derived.recipes(ctx.scratch / "model"))


def _check(given: list[ModelRecipe | TextEncoderRecipe]) -> None:
    """E-ARCH for recipes that are not all of one family, have a LoRA on them, or are no folders of diffusers."""
    from diffusion.folder import NETWORKS
    from diffusion.identify import called

    if len(families := sorted({called(one.family) for one in given})) > 1:
        what = f"models of one family can be merged, and these are {' and '.join(families)}"
        raise error(Problem("E-ARCH", what, "take two of one family", Place(input="other_model")))
    for one in given:
        if one.patches:
            what = "a model with a LoRA on it cannot be merged"
            raise error(Problem("E-ARCH", what, "apply the LoRA to what comes out of MergeModels"))
        if one.family not in NETWORKS or Path(one.source).is_file():
            what = f"{Path(one.source).name} is no folder in diffusers layout"
            raise error(Problem("E-ARCH", what, "take two models that are"))
