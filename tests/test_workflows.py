"""Every workflow that ships: it checks clean, says what to look at, fits the schema, and runs."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from engine.api import dumps, load, run
from engine.cache import Cache
from engine.compile import check
from engine.context import Settings
from engine.document import read
from engine.inputs import check_files
from engine.schema import schema
from nodes import registry

FOLDER = Path(__file__).parent.parent / "workflows"
FILES = sorted(FOLDER.glob("*.json"))

FROM_NOTHING = {
    "pictures": 8,
    "vae_steps": 1,
    "steps": 1,
    "decoder_steps": 1,
    "batch": 2,
    "schedule.steps": 2,
    "blank.batch": 1,
}
"""What a model with a VAE of its own is trained with here."""

QUICK = {
    "cfg-grid": {"steps": 2},
    "compare-models": {"sdxl_steps": 2, "flux_steps": 2, "count": 2},
    "compare-samplers": {"steps": 3},
    "controlnet-canny": {"steps": 2},
    "controlnet-depth": {"steps": 2, "width": 64, "height": 64, "shapes.size": 64},
    "ddpm-digit-samples": {"steps": 2, "count": 2},
    "ddpm-digits": {"steps": 2},
    "ddpm-or-dit": {"steps": 2, "dit_steps": 4},
    "dit-digits": {"steps": 2},
    "ddpm-or-ddim": {f"steps-{n}.steps": 2 for n in (1000, 50, 20, 10)},
    "evaluate-ddpm": {"steps": 2},
    "flux-dev": {"steps": 2, "width": 64, "height": 64},
    "flux-schnell": {"steps": 2, "width": 64, "height": 64, "count": 2},
    "guidance-grid": {"steps": 2},
    "image-to-image": {"steps": 4},
    "image-to-image-pocket": {"steps": 4},
    "inpaint": {"steps": 3, "side": 64, "x": 16, "y": 16, "across": 24, "down": 32},
    "inpaint-pocket": {"steps": 3},
    "interpolate": {"steps": 2},
    "lcm": {"width": 64, "height": 64},
    "lora": {"steps": 2},
    "lora-strength-sweep": {"steps": 2, "count": 2},
    "sd15-text-to-image": {"steps": 2, "width": 64, "height": 64, "count": 2},
    "sd3-text-to-image": {"steps": 2, "width": 64, "height": 64},
    "sdxl-refiner": {"steps": 5, "width": 64, "height": 64},
    "sdxl-text-to-image": {"steps": 2},
    "sdxl-turbo": {"width": 64, "height": 64, "count": 2},
    "train-ddpm-digits": {"steps": 2, "batch": 8, "schedule.steps": 2, "blank.batch": 10},
    "train-dit-digits": {"steps": 2, "batch": 8, "schedule.steps": 2, "blank.batch": 10},
    "train-lora": {"pictures": 2, "plain.count": 2, "steps": 1, "batch": 1, "schedule.steps": 2, "blank.batch": 1},
    "train-pocket-canny": {"pictures": 8, "steps": 1, "batch": 1, "schedule.steps": 2},
    "text-to-image": {"steps": 3, "count": 2},
    "train-pocket-flux": {**FROM_NOTHING, "fine_steps": 1},
    "train-pocket-xl": FROM_NOTHING,
    "two-controlnets": {"steps": 2, "width": 64, "height": 64, "shapes.size": 64, "count": 2},
    "two-loras": {"steps": 2},
    "upscale": {"steps": 4, "width": 64, "height": 48, "factor": 1.5},
}
"""What each is run with here, to be quick; nothing for those that are quick anyway."""

PICTURES = {
    "cfg-grid": {"cfg-grid-7.png": None},
    "compare-models": {"compare-models-7.png": None},
    "compare-samplers": {"compare-samplers-7.png": None},
    "compare-schedules": {"compare-schedules.png": (1200, 380), "compare-schedules-digits.png": None},
    "control-images": {"control-images.png": (1044, 877)},
    "controlnet-canny": {"controlnet-canny-7-0.png": (64, 64), "controlnet-canny-edges.png": (64, 64)},
    "controlnet-depth": {"controlnet-depth-7-0.png": (64, 64), "controlnet-depth-map.png": (64, 64)},
    "ddpm-digit-samples": {"digit-3-7-0.png": (16, 16), "digit-3-7-1.png": (16, 16)},
    "ddpm-digits": {"ddpm-digits.png": None},
    "ddpm-or-dit": {"ddpm-or-dit-2-4.png": None},
    "dit-digits": {"dit-digits.png": None},
    "ddpm-or-ddim": {"ddpm-or-ddim.png": None},
    "evaluate-ddpm": {},
    "flux-dev": {"flux-dev-7-0.png": (64, 64)},
    "flux-schnell": {"flux-schnell-7-0.png": (64, 64), "flux-schnell-7-1.png": (64, 64)},
    "forward-process": {"forward-process.png": None},
    "guidance-grid": {"guidance-grid.png": None},
    "image-to-image": {"image-to-image-7.png": (64, 64)},
    "image-to-image-pocket": {"image-to-image-pocket-7.png": None},
    "inpaint": {"inpaint-7.png": (64, 64)},
    "inpaint-pocket": {"inpaint-pocket-7.png": None},
    "interpolate": {"interpolate-7.png": None},
    "lcm": {"lcm-7-0.png": (64, 64)},
    "lora": {"lora-1.0-7-0.png": (64, 64)},
    "lora-strength-sweep": {"lora-strength-7.png": None},
    "sd15-text-to-image": {"sd15-7-0.png": (64, 64), "sd15-7-1.png": (64, 64)},
    "sd3-text-to-image": {"sd3-7-0.png": (64, 64)},
    "sdxl-refiner": {"sdxl-refiner-7-0.png": (64, 64)},
    "sdxl-text-to-image": {"sdxl-7-0.png": (64, 64)},
    "sdxl-turbo": {"sdxl-turbo-7-0.png": (64, 64), "sdxl-turbo-7-1.png": (64, 64)},
    "train-ddpm-digits": {"ddpm-digits-loss.png": (800, 450), "ddpm-digits-samples.png": None},
    "train-dit-digits": {"dit-digits-loss.png": (800, 450), "dit-digits-samples.png": None},
    "text-to-image": {"text-to-image-7.png": None},
    "train-lora": {"pocket-lora-thin-loss.png": (800, 450), "pocket-lora-thin-samples.png": None},
    "train-pocket-canny": {"pocket-canny-loss.png": (800, 450), "pocket-canny-samples.png": None},
    "train-pocket-flux": {"pocket-flux-loss.png": (800, 450), "pocket-flux-samples.png": None},
    "train-pocket-xl": {"pocket-xl-loss.png": (800, 450), "pocket-xl-samples.png": None},
    "two-controlnets": {"two-controlnets-7-0.png": (64, 64), "two-controlnets-7-1.png": (64, 64)},
    "two-loras": {"two-loras-7-0.png": (64, 64)},
    "upscale": {"upscale-latent-7.png": (96, 72), "upscale-lanczos-7.png": (96, 72)},
}
"""The pictures that each must leave, with their sizes where these are fixed."""

CHECKPOINTS = {
    "controlnet-depth": {"model": "sdxl", "net": "control-sdxl", "estimator": "control-depth"},
    "flux-dev": {"model": "flux-dev"},
    "flux-schnell": {"model": "flux-schnell"},
    "inpaint": {"model": "sdxl-inpaint"},
    "lcm": {"model": "lcm"},
    "sd15-text-to-image": {"model": "sd15"},
    "sd3-text-to-image": {"model": "sd35"},
    "sdxl-refiner": {"model": "sdxl", "refiner": "sdxl-refiner"},
    "sdxl-turbo": {"model": "sdxl-turbo"},
    "two-controlnets": {"model": "sd15", "edge_net": "control-sd15", "colour_net": "control-sd15-other"},
    "upscale": {"model": "sd15"},
}
"""Which tiny checkpoint stands for each model of those that ship without one, by the param that names it."""

AS_WELL = {
    "cfg-grid": {"model": "sd15"},
    "compare-models": {"sdxl": "sdxl", "flux": "flux-schnell"},
    "compare-samplers": {"model": "sd15"},
    "controlnet-canny": {"model": "sd15", "net": "control-sd15"},
    "image-to-image": {"model": "sd15"},
    "lora": {"model": "sdxl", "lora": "lora-sdxl"},
    "lora-strength-sweep": {"model": "sdxl", "lora": "lora-sdxl"},
    "sdxl-text-to-image": {"model": "sdxl"},
    "two-loras": {"model": "sdxl", "first": "lora-sdxl", "second": "lora-sdxl-other"},
}
"""Those that draw with a pocket model, and which tiny checkpoints they are run with too, as their params promise."""


@pytest.fixture(scope="module")
def nodes():
    return registry()


def test_the_ones_that_were_promised_are_there():
    assert set(PICTURES) <= {f.stem for f in FILES}


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_it_checks_without_a_warning(file, nodes):
    workflow, problems = check(read(file), nodes)
    assert workflow is not None
    assert not problems
    assert len(workflow.about) > 80
    assert all(param.about for param in workflow.params.values())


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_g20_it_fits_the_schema(file, nodes):
    jsonschema.Draft202012Validator(schema(nodes)).validate(json.loads(file.read_text()))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_g19_it_is_the_same_when_read_and_written_again(file, nodes, tmp_path):
    once = dumps(load(file, registry=nodes))
    (tmp_path / "again.json").write_text(once)
    assert dumps(load(tmp_path / "again.json", registry=nodes)) == once


@pytest.mark.parametrize(
    ("file", "models"),
    [pytest.param(f, CHECKPOINTS.get(f.stem, {}), id=f.stem) for f in FILES]
    + [pytest.param(FOLDER / f"{name}.json", models, id=f"{name}-as-well") for name, models in AS_WELL.items()],
)
def test_it_runs_and_leaves_its_pictures(file, models, nodes, tmp_path, checkpoint):
    workflow = load(file, registry=nodes)
    settings = Settings(out=tmp_path / "out", folder=FOLDER)
    given = dict(QUICK.get(file.stem, {}))
    for param, kind in models.items():
        given[param] = str(checkpoint(kind))
    result = run(workflow, settings=settings, cache=Cache(tmp_path / "cache"), **given)
    saved = {f.path.name: f for f in result.files}
    for name, size in PICTURES[file.stem].items():
        picture = Image.open(saved[name].path)
        assert size is None or picture.size == size
        assert picture.getextrema() not in [((0, 0),) * 3, (0, 0)], "all black"


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_it_says_how_to_get_its_model(name, nodes):
    workflow = load(FOLDER / f"{name}.json", registry=nodes)
    problems = check_files(workflow)
    assert len(problems) == len(CHECKPOINTS[name])
    for problem, param in zip(problems, CHECKPOINTS[name], strict=True):
        assert (problem.code, problem.exit_code) == ("E-NOTFOUND", 3)
        # owner/name, or owner/name/file
        wanted = re.sub(r"^([^/]+/[^/]+)/", r"\1 ", workflow.params[param].spec.default)
        assert f"weft models pull {wanted}" in problem.hint
