"""weft lock, reproduce, bundle, show, extract, strip and diff, as a person uses them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from engine.share.subject import open_subject
from nodes.arrange import ImageFlip
from nodes.image import SaveImage

FLIP = {
    "format": 1,
    "params": {"gap": {"default": 4, "about": "between them"}},
    "nodes": {
        "load": {"type": "LoadImage", "path": "in.png"},
        "flip": {"type": "ImageFlip", "image": "@load.image"},
        "grid": {"type": "ImageGrid", "images": ["@load.image", "@flip"], "gap": "$gap", "columns": 2},
        "save": {"type": "SaveImage", "image": "@grid", "path": "flip-{gap}.png"},
    },
}


@pytest.fixture
def flip(weft, tmp_path):
    """`weft`, with the picture that the workflow flip.json reads."""
    Image.linear_gradient("L").resize((24, 16)).convert("RGB").save(tmp_path / "in.png")
    (tmp_path / "flip.json").write_text(json.dumps(FLIP))
    return weft


def test_a_run_leaves_a_lock_and_equal_runs_equal_bytes(flip, tmp_path):
    first = flip("run", "flip.json", "--json").json
    assert first["locks"] == ["out/flip-4.lock"]
    before = (tmp_path / "out/flip-4.lock").read_bytes()
    for words in ([], ["--no-cache"]):
        again = flip("run", "flip.json", "--json", "--out", f"again{len(words)}", *words).json
        assert Path(again["locks"][0]).read_bytes() == before
        assert Path(again["outputs"][0]["path"]).read_bytes() == (tmp_path / "out/flip-4.png").read_bytes()


def test_what_is_in_a_lock(flip, tmp_path):
    flip("run", "flip.json")
    lock = open_subject(tmp_path / "out/flip-4.lock").lock.data
    assert list(lock["nodes"]) == sorted(FLIP["nodes"])
    assert lock["nodes"]["grid"]["inputs"]["images"] == ["@load.image", "@flip.image"]
    assert re.fullmatch("[0-9a-f]{64}", lock["nodes"]["grid"]["outputs"]["image"]["digest"])
    (entry,) = lock["inputs"]
    assert (entry["node"], entry["source"], entry["files"][0]["name"]) == ("load", "in.png", "in.png")
    assert entry["read"] == lock["nodes"]["load"]["outputs"]["image"]
    assert lock["models"] == []
    assert lock["packs"]["weft"]["code"]
    assert lock["settings"] == {
        "device": "cpu", "dtype": "float32", "attention": "auto", "offload": "none", "strict": False,
    }  # fmt: skip
    assert str(tmp_path) not in (tmp_path / "out/flip-4.lock").read_text()


def test_without_metadata_there_is_no_lock(flip, tmp_path):
    assert flip("run", "flip.json", "--no-metadata", "--json").json["locks"] == []
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["flip-4.png"]


def test_every_variant_of_a_sweep_has_a_lock_of_its_own(flip, tmp_path):
    locks = flip("run", "flip.json", "--sweep", "gap=1,2", "--json").json["locks"]
    assert locks == ["out/flip-1.lock", "out/flip-2.lock"]
    found = flip("diff", *locks)
    assert found.code == 1
    assert found.out.splitlines()[0] == "~ $gap: 1 → 2" or "$gap.default: 1 → 2" in found.out


def test_a_lock_is_written_checked_and_updated(flip, tmp_path):
    assert flip("lock", "flip.json", "--check").code == 3
    assert flip("lock", "flip.json").out == "flip.lock\n"
    before = (tmp_path / "flip.lock").read_bytes()
    for words in (["--check"], [], ["--update"]):
        answer = flip("lock", "flip.json", *words)
        assert (answer.code, answer.out) == (0, "flip.lock fits\n")
    flip("run", "flip.json")
    assert flip("lock", "flip.json", "--check").code == 0, "what a run has made is not in it"
    Image.new("RGB", (24, 16)).save(tmp_path / "in.png")
    answer = flip("lock", "flip.json", "gap=5", "--check")
    assert answer.code == 1
    assert answer.out.startswith("~ workflow $gap.default: 4 → 5\n~ inputs load.path.files.in.png: ")
    assert (tmp_path / "flip.lock").read_bytes() == before
    assert flip("lock", "flip.json", "gap=5").code == 1, "a lock that is there is kept"
    assert (tmp_path / "flip.lock").read_bytes() == before
    assert flip("lock", "flip.json", "gap=5", "--update").code == 0
    assert flip("lock", "flip.json", "gap=5", "--check").code == 0


def test_a_seed_that_was_drawn_is_in_the_lock_and_stays(flip, tmp_path):
    flow = {"format": 1, "nodes": {"roll": {"type": "Roll"}, "out": {"type": "SaveText", "value": "@roll"}}}
    (tmp_path / "roll.json").write_text(json.dumps(flow))
    assert flip("lock", "roll.json").code == 0
    assert open_subject(tmp_path / "roll.lock").document["nodes"]["roll"]["seed"] > 0
    assert flip("lock", "roll.json", "--check").code == 0
    (lock,) = flip("run", "roll.json", "--json").json["locks"]
    assert flip("reproduce", lock).code == 0


def test_code_that_changed_is_named(flip, monkeypatch):
    flip("lock", "flip.json")
    from engine.share import lock

    monkeypatch.setattr(lock, "code_of", lambda cls: "0" * 64 if cls is ImageFlip else "1" * 64)
    answer = flip("lock", "flip.json", "--check", "--json")
    assert answer.code == 1
    assert "flip.code" in [one["path"] for one in answer.json["moved"]]


@pytest.mark.parametrize("file", ["out/flip-4.png", "out/flip-4.lock", "flip-4.weft.zip", "out"])
def test_reproduce_to_the_bit(flip, file):
    flip("run", "flip.json")
    assert flip("bundle", "out/flip-4.png", "--outputs").out == "flip-4.weft.zip\n"
    answer = flip("reproduce", file)
    assert (answer.code, answer.out) == (0, "bit-exact: 5 digests equal\n")


def test_what_differs_is_named_and_measured(flip, monkeypatch, tmp_path):
    flip("run", "flip.json")
    before = ImageFlip.run

    def run(self, ctx):
        found = before(self, ctx)
        pixels = found.pixels.copy()
        pixels[0, 0, 0] += 0.5
        return type(found)(pixels)

    monkeypatch.setattr(ImageFlip, "run", run)
    answer = flip("reproduce", "out/flip-4.png")
    assert answer.code == 11
    assert answer.out.splitlines()[:2] == [
        "flip (ImageFlip) is the first that differs, in image; its inputs were equal",
        "after it: grid, save",
    ]
    assert "largest difference 128 of 255, 0.07% of the pixels, PSNR 37.6 dB" in answer.out
    answer = flip("reproduce", "out/flip-4.lock", "--tolerance", "30", "--json")
    assert answer.code == 10
    assert answer.json["first"] == {"node": "flip", "type": "ImageFlip", "outputs": ["image"], "inputs_equal": True}


@pytest.mark.parametrize("ending", ["webp", "jpg"])
def test_webp_and_jpeg_are_made_again_and_measured_too(flip, monkeypatch, ending):
    flip("run", "flip.json", f"save.path=f.{ending}")
    assert flip("reproduce", f"out/f.{ending}").code == 0
    before = ImageFlip.run
    monkeypatch.setattr(ImageFlip, "run", lambda self, ctx: type(self.image)(1 - before(self, ctx).pixels))
    answer = flip("reproduce", f"out/f.{ending}", "--json")
    assert answer.code == 11
    assert answer.json["pictures"][0]["distance"]["largest"] > 200


@pytest.mark.parametrize("node", ["load", "flip", "grid", "save"])
def test_whichever_node_is_changed_is_the_one_that_is_named(flip, monkeypatch, tmp_path, node):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent.parent / "benchmarks")
    import sharing
    import toy_nodes

    flip("run", "flip.json")
    cls = toy_nodes.registry().get(FLIP["nodes"][node]["type"])
    with sharing.perturbed(cls, node):
        answer = flip("reproduce", "out/flip-4.png", "--json")
    assert answer.code in (10, 11)
    assert answer.json["first"]["node"] == node


def test_a_file_is_found_by_its_digest_or_named_as_missing(flip, tmp_path):
    flip("run", "flip.json")
    (tmp_path / "far").mkdir()
    (tmp_path / "in.png").rename(tmp_path / "far/other.png")
    answer = flip("reproduce", "out/flip-4.png")
    assert answer.code == 3
    assert answer.err.startswith('E-NOTFOUND out/flip-4.png: load.path: "in.png" is not here, or is another; get its ')
    assert "nodes will run" not in answer.err
    assert flip("reproduce", "out/flip-4.png", "--allow", "far").code == 0


def test_a_lock_without_a_run_has_nothing_to_compare_with(flip):
    flip("lock", "flip.json")
    for file in ("flip.lock", "flip.json"):
        answer = flip("reproduce", file)
        assert answer.code == 2
        assert answer.err.startswith("E-LOCK ")


def test_a_bundle_runs_where_its_inputs_are_not(flip, tmp_path, monkeypatch):
    digest = flip("run", "flip.json", "--json").json["outputs"][0]["digest"]
    flip("bundle", "flip.json", "--out", "a.zip")
    flip("bundle", "flip.json", "--out", "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a.zip").rename(tmp_path / "elsewhere/a.zip")
    (tmp_path / "in.png").unlink()
    assert flip("check", "elsewhere/a.zip").code == 0
    assert flip("run", "elsewhere/a.zip", "--json", "--out", "x").json["outputs"][0]["digest"] == digest
    assert [p.name for p in (tmp_path / "elsewhere").iterdir()] == ["a.zip"]
    other = flip("run", "elsewhere/a.zip", "gap=9", "--json", "--out", "x").json
    assert other["outputs"][0]["path"] == "x/flip-9.png"


def test_show_extract_and_strip(flip, tmp_path):
    flip("run", "flip.json")
    shown = flip("show", "out/flip-4.png").out
    assert "picture with 4 nodes" in shown
    assert "gap  4" in shown
    assert 'load.path  "in.png", 1 file' in shown
    assert flip("show", "flip.json").code == flip("show", "out/flip-4.lock", "--json").code == 0
    taken = json.loads(flip("extract", "out/flip-4.png").out)
    assert taken["params"] == {"gap": {"default": 4, "about": "between them"}}
    assert list(taken["nodes"]) == ["load", "flip", "grid", "save"], "sources first"
    assert flip("extract", "out/flip-4.png", "lock", "--out", "x.lock").out == "x.lock\n"
    assert flip("reproduce", "x.lock").code == 0
    missing = flip("extract", "out/flip-4.png", "parameters")
    assert (missing.code, missing.err) == (
        2, "E-NOMETA out/flip-4.png: carries no parameters; weft show FILE says what it has\n",
    )  # fmt: skip
    assert flip("strip", "out/flip-4.png").out == "out/flip-4-bare.png\n"
    with Image.open(tmp_path / "out/flip-4-bare.png") as bare, Image.open(tmp_path / "out/flip-4.png") as whole:
        assert bare.info == {}
        assert bare.tobytes() == whole.tobytes()


def test_diff_takes_whatever_carries_a_workflow(flip):
    flip("run", "flip.json")
    flip("bundle", "out/flip-4.png")
    for a, b in (("flip.json", "out/flip-4.png"), ("out/flip-4.png", "out/flip-4.lock"), ("out", "flip-4.weft.zip")):
        assert (flip("diff", a, b).code, flip("diff", a, b).out) == (0, "")
    flip("run", "flip.json", "grid.columns=1", "--out", "other")
    answer = flip("diff", "out/flip-4.png", "other/flip-4.png")
    assert answer.code == 1
    assert answer.out.splitlines()[0] == "~ grid.columns: 2 → 1"
    assert "~ nodes grid.outputs.image.digest: " in answer.out


STRICT = """
import os, sys
sys.path[:0] = [{tests!r}]
import toy_nodes, cli
sys.exit(cli.main(["run", "flip.json", "--strict", "--json", "--quiet", *sys.argv[1:]], toy_nodes.registry()))
"""


def test_strict_runs_of_other_processes_are_equal_in_every_byte(flip, tmp_path, monkeypatch):
    code = STRICT.format(tests=str(Path(__file__).parent))
    found = []
    for i, words in enumerate(([], ["--no-cache"], [])):
        monkeypatch.setenv("PYTHONHASHSEED", str(i))
        monkeypatch.setenv("LC_ALL", ("C", "C.utf8", "POSIX")[i])
        told = subprocess.run([sys.executable, "-c", code, *words, "--out", f"o{i}"], cwd=tmp_path,
                              capture_output=True, text=True, check=True).stdout  # fmt: skip
        report = json.loads(told)
        found.append((Path(tmp_path, report["locks"][0]).read_bytes(), report["outputs"][0]["digest"]))
    assert len(set(found)) == 1
    lock = json.loads(found[0][0])["lock"]
    assert (lock["settings"]["strict"], lock["settings"]["attention"]) == (True, "math")


def test_a_strict_run_makes_no_use_of_what_another_left(flip):
    flip("run", "flip.json")
    assert {n["status"] for n in flip("run", "flip.json", "--strict", "--json").json["nodes"].values()} == {"done"}


def test_in_a_strict_run_a_fallback_is_an_error(flip, tmp_path):
    flow = {"format": 1, "nodes": {"f": {"type": "FallBack"}, "out": {"type": "SaveText", "value": "@f"}}}
    (tmp_path / "f.json").write_text(json.dumps(flow))
    (lock,) = flip("run", "f.json", "--json").json["locks"]
    assert open_subject(tmp_path / lock).lock.nodes["f"]["fallbacks"] == ["did it another way"]
    again = flip("run", "f.json", "--json", "--out", "again").json["locks"][0]
    assert (tmp_path / again).read_bytes() == (tmp_path / lock).read_bytes(), "it is known of what is cached too"
    answer = flip("run", "f.json", "--strict")
    assert answer.code == 1
    assert "E-STRICT f: did it another way; do it right\n" in answer.err


def test_saving_is_what_a_lock_is_about(flip):
    assert SaveImage.effect
    assert flip("run", "flip.json", "--target", "grid", "--json").json["locks"] == []
