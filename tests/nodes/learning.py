"""Running a training node by itself, whole or stopped on the way."""

from engine.context import CancelToken, Context


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
