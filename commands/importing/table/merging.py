"""Models made of others: those that are merged, and the one that is saved."""

from dataclasses import replace

from commands.importing import kinds
from commands.importing import values as v
from commands.importing.build import Out
from commands.importing.table.pictures import stem_of
from commands.importing.translate import Call, Row

WHOLE = ("LoadCheckpoint", "LoRALoad", "MergeModels")
"""Nodes of ours that give a model and the text encoder that belongs to it."""


def models(t: Call) -> tuple[v.Value | None, ...]:
    """ModelMergeSimple: ratio is the share of the first, and ours that of the other."""
    one, other = t.get("model1", v.Model), t.get("model2", v.Model)
    return (replace(one, out=_merged(t, one.out, other.out)[0]),)


def encoders(t: Call) -> tuple[v.Value | None, ...]:
    """CLIPMergeSimple. Where the models are merged by the same ratio, both are one node of ours."""
    one, other = t.get("clip1", v.Clip), t.get("clip2", v.Clip)
    if one.out.node.type not in WHOLE or other.out.node.type not in WHOLE:
        t.differ("text encoders of other models are not merged by themselves here; the first is taken")
        return (one,)
    first, second = (Out(clip.out.node, "model") for clip in (one, other))
    return (replace(one, out=_merged(t, first, second, one.out, other.out)[1]),)


def _merged(t: Call, model: Out, other: Out, text: Out | None = None, other_text: Out | None = None) -> tuple[Out, Out]:
    """MergeModels, with its text encoders where they are merged too: model and text encoder of it."""
    given = {"model": model, "other_model": other, "share": round(1 - t["ratio"], 6)}
    texts = {"text_encoder": text, "other_text_encoder": other_text} if text and other_text else {}
    for made in t.done.builder.nodes:
        same = made.type == "MergeModels" and all(made.inputs[name] == value for name, value in given.items())
        fits = all(made.inputs.get(name, value) == value for name, value in texts.items())
        # what its text encoders come from has to stand before it, as its models do
        if same and fits and all(out.node.number < made.number for out in texts.values()):
            made.inputs |= texts
            return Out(made, "model"), Out(made, "text_encoder")
    made = t.done.builder.add("MergeModels", {**given, **texts}, "merge")
    return Out(made, "model"), Out(made, "text_encoder")


def save(t: Call) -> tuple[v.Value | None, ...]:
    """CheckpointSave."""
    model, clip, vae = t.get("model", v.Model), t.get("clip", v.Clip), t.get("vae", v.Vae)
    t.differ("a folder in diffusers layout is written, not one file; LoadCheckpoint takes it")
    t.add("SaveModel", "save", model=model.out, text_encoder=clip.out, vae=t.vae(vae, kinds.space_of(model.kind)),
          path=stem_of(t, "model"))  # fmt: skip
    return ()


ROWS: dict[str, Row] = {"ModelMergeSimple": models, "CLIPMergeSimple": encoders, "CheckpointSave": save}
