"""Running a training node by itself, whole or stopped on the way, and small models to begin with."""

from engine.context import CancelToken, Context
from nodes.learn_models import NewFlux, NewSDXL


def learn(node, folder, base, dataset, stop_at=None, **given):
    """What a node makes of the parts of a checkpoint and a data set. stop_at: the step after which it is cancelled."""
    folder.mkdir(exist_ok=True)
    token = CancelToken()

    def emit(event):
        if "loss" in getattr(event, "message", "") and event.step == stop_at:
            token.cancel()

    ctx = Context(scratch_of=lambda: folder, emit=emit, token=token)
    parts = {"model": base.model, "text_encoder": base.text_encoder, "vae": base.vae}
    return node(dataset=dataset, seed=0, **parts, **given).run(ctx)


NEW = {
    "sdxl": (NewSDXL, {"widths": [32, 64]}),
    "flux": (NewFlux, {"width": 64, "double_blocks": 1, "single_blocks": 1}),
}
SIZES = {"size": 32, "vae_widths": [8, 16], "text_widths": [32, 64], "text_layers": 2}


def new_model(family, dataset, seed=0, **other):
    """A small model with random weights that knows the words of a data set."""
    node, sizes = NEW[family]
    return node(dataset=dataset, words="outline", seed=seed, **{**SIZES, **sizes, **other}).run(Context())
