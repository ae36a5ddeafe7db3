"""ControlNets: which files are taken, what is refused, and how they go with sweeps, places and other sizes."""

import json
import shutil

import numpy as np
import pytest
import text_to_image
import torch
from PIL import Image

from engine.errors import WeftError

pytestmark = pytest.mark.filterwarnings("ignore:`FluxPosEmbed`:FutureWarning")


@pytest.fixture
def nodes(checkpoint, tmp_path):
    """A function that gives a graph with one ControlNet: its source or its kind, and changes to the graph."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")

    def go(kind="sd15", net="sd15", source=None, **changes):
        steered = {
            "open": {"type": "LoadImage", "path": "in.png"},
            "net": {"type": "LoadControlNet", "source": str(source or checkpoint(f"control-{net}"))},
            "steered": {"type": "ControlNetApply", "model": "@base.model", "controlnet": "@net",
                        "image": "@open.image"},
            "guide__model": "@steered",
        }  # fmt: skip
        return text_to_image.graph(checkpoint(kind), "a fox", 7.5, 2, 5, **{**steered, **changes})

    return go


@pytest.fixture
def drawn(nodes, run_nodes):
    """A function that draws it: pixels (B, H, W, 3)."""

    def go(*args, **changes):
        return run_nodes(nodes(*args, **changes), "decode")["decode"].pixels

    return go


def test_a_file_is_the_same_net_as_its_folder(drawn, checkpoint, tmp_path):
    folder = checkpoint("control-sd15")
    beside = shutil.copytree(folder, tmp_path / "net")
    weights = beside / "diffusion_pytorch_model.safetensors"
    there = drawn()
    assert np.array_equal(there, drawn(source=weights))
    weights.rename(beside / "diffusion_pytorch_model.fp16.safetensors")
    assert np.array_equal(there, drawn(source=beside))


@pytest.mark.parametrize("layout", ["diffusers", "original", "original without a prefix"])
def test_a_file_by_itself_tells_its_shapes(layout, tmp_path):
    from diffusers import ControlNetModel
    from safetensors.torch import save_file

    from diffusion.control_loading import load, recipe_of

    torch.manual_seed(0)
    net = ControlNetModel(
        block_out_channels=(32, 64), layers_per_block=2, attention_head_dim=8, cross_attention_dim=48,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), conditioning_embedding_out_channels=(4, 4, 8, 8),
    )  # fmt: skip
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    prefix = "control_model." if layout == "original" else ""
    weights = net.state_dict() if layout == "diffusers" else as_at_first(net.state_dict())
    save_file({prefix + name: tensor.contiguous() for name, tensor in weights.items()}, tmp_path / "net.safetensors")
    recipe = recipe_of(tmp_path / "net.safetensors")
    assert (recipe.family, recipe.hint, recipe.modes) == ("sd", "pixels", 0)
    again = load(recipe, torch.float32)
    fed = torch.randn(1, 4, 8, 8), torch.tensor(5.0), torch.randn(1, 7, 48), torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        (down, middle), (down_2, middle_2) = (one.eval()(*fed, return_dict=False) for one in (net, again))
    assert all(torch.equal(a, b) for a, b in zip([*down, middle], [*down_2, middle_2], strict=True))


def as_at_first(weights):
    """The tensors of a ControlNet of two levels under the names that the first ControlNets gave them."""
    resnet = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
              "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip
    starts = {
        "time_embedding.linear_1": "time_embed.0",
        "time_embedding.linear_2": "time_embed.2",
        "conv_in": "input_blocks.0.0",
        "controlnet_cond_embedding.conv_in": "input_hint_block.0",
        "controlnet_cond_embedding.conv_out": "input_hint_block.14",
        "controlnet_mid_block": "middle_block_out.0",
        "mid_block.attentions.0": "middle_block.1",
        "down_blocks.0.downsamplers.0.conv": "input_blocks.3.0.op",
        **{f"controlnet_down_blocks.{i}": f"zero_convs.{i}.0" for i in range(6)},
        **{f"controlnet_cond_embedding.blocks.{i}": f"input_hint_block.{2 * i + 2}" for i in range(6)},
        **{f"mid_block.resnets.{i}.{a}": f"middle_block.{2 * i}.{b}" for i in (0, 1) for a, b in resnet.items()},
    }
    for level in (0, 1):
        for i in (0, 1):
            at = f"input_blocks.{1 + 3 * level + i}"
            starts |= {f"down_blocks.{level}.resnets.{i}.{a}": f"{at}.0.{b}" for a, b in resnet.items()}
            starts[f"down_blocks.{level}.attentions.{i}"] = f"{at}.1"
    found = {}
    for name, tensor in weights.items():
        start = next(start for start in starts if name.startswith(f"{start}."))
        found[starts[start] + name.removeprefix(start)] = tensor
    return found


def test_a_sweep_of_strengths_is_one_batch(nodes, tmp_path):
    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from engine.sweep import Sweep
    from nodes import registry

    graph = nodes(save={"type": "SaveImage", "image": "@decode", "path": "{variant}.png"})
    workflow = load({"format": 1, "nodes": graph}, registry=registry())
    sweep = Sweep({"steered.strength": [0.0, 0.5, 1.0]})

    def pictures(batch):
        settings = Settings(out=tmp_path / str(batch), folder=tmp_path, batch=batch)
        result = run(workflow, sweep=sweep, settings=settings, cache=Cache())
        return np.stack([np.asarray(Image.open(file.path)) for file in result.files]).astype(int)

    together, alone = pictures(3), pictures(1)
    assert np.abs(together - alone).max() <= 1
    assert len({picture.tobytes() for picture in alone}) == 3


def test_each_picture_of_a_batch_serves_its_own(drawn, run_nodes, nodes, tmp_path):
    other = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(other).save(tmp_path / "other.png")
    more = {"second": {"type": "LoadImage", "path": "other.png"}}
    both = {**more, "both": {"type": "ImageBatch", "images": ["@open.image", "@second.image"]}}
    two = drawn(**both, steered__image="@both", blank__batch=2, noise__seed=5)
    assert np.abs(two[0] - drawn()[0]).max() < 1e-5
    assert np.abs(two[1] - drawn(**more, steered__image="@second.image", noise__seed=6)[0]).max() < 1e-5


def test_its_own_dtype_counts(drawn):
    exact, coarse = drawn(), drawn(net__dtype="bfloat16")
    assert 0 < np.abs(exact - coarse).max() < 0.1


REFUSED = {
    "another family": ({"kind": "sd15", "net": "sdxl"},
                       "the ControlNet is for SDXL, and the model is Stable Diffusion 1.x or 2.x"),
    "the refiner": ({"kind": "sdxl-refiner", "net": "sdxl"},
                    "the ControlNet is for SDXL, and the model is the SDXL refiner"),
    "another width": ({"net": "wide"}, "is for models with text embeddings 24 wide, and this model has 16"),
    "a transformer's net without a VAE": ({"kind": "sd3", "net": "sd3"}, "the picture as a latent, and vae is not"),
    "guess with SD3": ({"kind": "sd3", "net": "sd3", "steered__vae": "@base.vae", "steered__guess": True},
                       "guess is for ControlNets of Stable Diffusion and SDXL"),
    "a mode it does not know": ({"steered__mode": 2}, "mode is 2, and this ControlNet knows one kind of picture"),
    "a union net without a mode": ({"kind": "sdxl", "net": "sdxl-union"}, "6 kinds of pictures, and mode says none"),
    "an end before the start": ({"steered__start": 0.5, "steered__end": 0.4}, "start 0.5 is after end 0.4"),
    "a batch that does not fit": ({"more": {"type": "ImageBatch", "images": ["@open.image", "@open.image"]},
                                   "steered__image": "@more", "blank__batch": 3},
                                  "2 control pictures need a batch that is a multiple of 2, not 3"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_says_why(drawn, case):
    changes, message = REFUSED[case]
    with pytest.raises(WeftError) as found:
        drawn(**changes)
    assert message in " ".join(str(found.value).split())


def test_a_folder_of_the_hub_s_cache_is_found_by_its_id(drawn, checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    model = tmp_path / "hub" / "models--someone--edges"
    shutil.copytree(checkpoint("control-sd15"), model / "snapshots" / ("0" * 40))
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0" * 40)
    assert np.array_equal(drawn(source="someone/edges"), drawn())


def test_one_for_a_place_is_shown_that_part_of_the_picture(drawn, run_nodes, nodes):
    there = {"type": "ConditionArea", "conditioning": "@wanted", "x": 32, "y": 0, "width": 32, "height": 64}
    more = {"there": there, "guide__positive": "@there", "guide__scale": 1.0, "sampler__kind": "euler"}
    from diffusion import control

    seen = []
    run = control.KINDS["sd"][0]

    def watched(net, denoiser, one, hint, fed):
        seen.append(hint)
        return run(net, denoiser, one, hint, fed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(control.KINDS, "sd", (watched, control.KINDS["sd"][1]))
        drawn(**more)
    whole = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)[:, 32:] / 255
    assert np.allclose(seen[0][0].permute(1, 2, 0).numpy(), whole, atol=1e-6)


def test_what_is_no_controlnet_is_told_before_anything_runs(nodes, checkpoint, tmp_path):
    from engine.api import load
    from engine.inputs import check_files
    from nodes import registry

    other = shutil.copytree(checkpoint("control-sd15"), tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "_class_name": "QwenImageControlNetModel"}))
    cut = shutil.copytree(checkpoint("control-sd15"), tmp_path / "cut")
    weights = (cut / "diffusion_pytorch_model.safetensors").read_bytes()
    (cut / "diffusion_pytorch_model.safetensors").write_bytes(weights[:-8])
    pickled = shutil.copytree(checkpoint("control-sd15"), tmp_path / "pickled")
    (pickled / "diffusion_pytorch_model.safetensors").rename(pickled / "diffusion_pytorch_model.bin")
    vae = checkpoint("sd15") / "vae" / "diffusion_pytorch_model.safetensors"
    for source, code, message in (
        (other, "E-ARCH", "a QwenImageControlNetModel, which is none of the ControlNets that weft knows"),
        (shutil.copy(vae, tmp_path / "vae.safetensors"), "E-ARCH", "this is a VAE"),
        (cut, "E-MODEL", "cut short"),
        (pickled, "E-PICKLE", "holds its weights as a pickle only"),
        (tmp_path / "nothing", "E-NOTFOUND", "no model"),
    ):
        workflow = load({"format": 1, "nodes": nodes(source=source)}, registry=registry(), targets=("decode",))
        (problem,) = [one for one in check_files(workflow) if one.place.node == "net"]
        assert problem.code == code
        assert message in problem.what


def test_a_picture_that_was_resized_is_told_of(nodes, tmp_path, checkpoint):
    from engine.api import load, run
    from engine.cache import Cache
    from engine.context import Settings
    from nodes import registry

    Image.new("RGB", (90, 50)).save(tmp_path / "in.png")
    workflow = load({"format": 1, "nodes": nodes()}, registry=registry(), targets=("decode",))
    result = run(workflow, settings=Settings(out=tmp_path / "out", folder=tmp_path), cache=Cache())
    (warning,) = [str(one) for one in result.warnings]
    assert "W-SIZE denoise.guider: a control picture of 90 x 50, resized to 64 x 64" in warning
