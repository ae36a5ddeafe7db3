"""Merging models and saving them: what ComfyUI's nodes for that become."""

import json

import pytest

from commands.importing.source import imported
from engine.api import load
from nodes import registry


def graph(ratio=0.75, clip_ratio=0.75, second_clip=("2", 1), **more):
    """Two checkpoints, their denoisers and text encoders merged, and saved."""
    return {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "other.safetensors"}},
        "3": {"class_type": "ModelMergeSimple", "inputs": {"model1": ["1", 0], "model2": ["2", 0], "ratio": ratio}},
        "4": {"class_type": "CLIPMergeSimple",
              "inputs": {"clip1": ["1", 1], "clip2": list(second_clip), "ratio": clip_ratio}},
        "5": {"class_type": "CheckpointSave",
              "inputs": {"model": ["3", 0], "clip": ["4", 0], "vae": ["1", 2], "filename_prefix": "checkpoints/mine"}},
        **more,
    }  # fmt: skip


def translated(tmp_path, given):
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(given))
    done = imported(path)
    document = json.loads(done.text)
    load(document, registry=registry())
    return document["nodes"], done


def of(nodes, kind):
    return {name: node for name, node in nodes.items() if node["type"] == kind}


def test_a_merge_of_models_and_text_encoders_is_one_node(tmp_path):
    nodes, done = translated(tmp_path, graph())
    ((name, merge),) = of(nodes, "MergeModels").items()
    one, other = of(nodes, "LoadCheckpoint")
    assert merge["share"] == 0.25  # ratio is the share of the first
    assert merge["model"] == f"@{one}.model"
    assert merge["other_text_encoder"] == f"@{other}.text_encoder"
    (save,) = of(nodes, "SaveModel").values()
    assert (save["model"], save["text_encoder"]) == (f"@{name}.model", f"@{name}.text_encoder")
    assert (save["vae"], save["path"]) == (f"@{one}.vae", "checkpoints/mine")
    assert any("a folder in diffusers layout is written" in line for line in done.differs)


def test_other_ratios_are_two_nodes_and_models_alone_leave_the_text_encoders(tmp_path):
    nodes, _ = translated(tmp_path, graph(clip_ratio=0.5))
    shares = {node["share"]: "text_encoder" in node for node in of(nodes, "MergeModels").values()}
    assert shares == {0.25: False, 0.5: True}


def test_text_encoders_with_a_lora_are_merged_with_the_model_it_is_on(tmp_path):
    lora = {"class_type": "LoraLoader", "inputs": {
        "model": ["2", 0], "clip": ["2", 1], "lora_name": "l.safetensors", "strength_model": 1.0, "strength_clip": 1.0,
    }}  # fmt: skip
    nodes, _ = translated(tmp_path, graph(second_clip=("6", 1), **{"6": lora}))
    ((name, _),) = of(nodes, "LoRALoad").items()
    assert {node["other_model"] for node in of(nodes, "MergeModels").values()} == {
        f"@{name}.model", f"@{list(of(nodes, 'LoadCheckpoint'))[1]}.model",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["ModelMergeBlocks", "ModelMergeAdd", "ModelMergeSubtract"])
def test_other_merges_have_a_nearest(kind):
    from commands.importing.nearest import NEAREST

    assert NEAREST[kind][0] == "MergeModels"
