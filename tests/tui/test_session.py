"""The open workflow: edits keep the file as it was written, can be undone, and may mend what is broken."""

import json
from pathlib import Path

import pytest
from fake_engine import picture

import nodes
from engine.errors import WeftError
from engine.pictures.texts import Text
from engine.pictures.write import with_chunks
from engine.spec import Bad
from tui.edits import free_id
from tui.fields import ABSENT, Field, fields_of, nudged, params_of, sources_for, step_of, targets_for
from tui.session import Session

TEXT = """{
  "format": 1,
  "params": {"seed": 7, "steps": {"default": 20, "min": 1, "max": 100, "about": "how many"}},
  "nodes": {
    "base":     {"type": "LoadCheckpoint", "source": "ddpm-digits"},
    "schedule": {"type": "NoiseSchedule", "model": "@base.model", "steps": "$steps"},
    "sampler":  {"type": "Sampler",   "kind": "ddim"},
    "noise":    {"type": "Noise", "seed": "$seed"},
    "blank":    {"type": "EmptyLatent", "model": "@base.model"},
    "guide":    {"type": "CFG", "model": "@base.model", "scale": 6.0},
    "denoise":  {"type": "UNetDenoise", "guider": "@guide", "schedule": "@schedule", "sampler": "@sampler",
                 "noise": "@noise", "latent": "@blank"},
    "decode":   {"type": "VAEDecode", "vae": "@base.vae", "latent": "@denoise"},
    "grid":     {"type": "ImageGrid", "images": ["@decode"]},
    "save":     {"type": "SaveImage", "image": "@grid", "path": "x.png"}
  }
}
"""


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "x.json"
    path.write_text(TEXT)
    return Session.open(path, nodes.registry())


def row(session: Session, node: str, name: str) -> Field:
    return next(f for f in (fields_of(session, node) if node else params_of(session)) if f.name == name)


def test_an_edit_changes_one_value_and_nothing_else(session: Session) -> None:
    assert session.set_input("guide", "scale", 7.5)
    assert session.text == TEXT.replace('"scale": 6.0', '"scale": 7.5')
    assert session.set_param("steps", 30)
    assert session.set_param("seed", 8)
    expected = TEXT.replace("6.0", "7.5").replace('"default": 20', '"default": 30').replace('"seed": 7,', '"seed": 8,')
    assert session.text == expected
    assert session.modified
    assert session.workflow is not None
    assert session.workflow.params["steps"].spec.default == 30


def test_undo_goes_back_to_the_byte_and_redo_forth(session: Session) -> None:
    session.set_input("guide", "scale", 7.5)
    session.remove_node("grid")
    session.toggle_bypass("sampler")
    assert [session.undo(), session.undo(), session.undo(), session.undo()] == [
        "bypass sampler", "delete grid", "guide.scale", None,
    ]  # fmt: skip
    assert session.text == TEXT
    assert not session.modified
    assert [session.redo(), session.redo()] == ["guide.scale", "delete grid"]
    assert "grid" not in session.nodes
    session.set_param("seed", 1)
    assert session.redo() is None


def test_an_edit_that_changes_nothing_is_none(session: Session) -> None:
    before = session.version
    assert not session.set_input("guide", "scale", 6.0)
    assert not session.reset_input("guide", "rescale")
    assert session.undo() is None
    assert session.version == before


def test_text_that_looks_like_a_link_stays_text(session: Session) -> None:
    session.set_input("save", "path", "@home.png")
    assert json.loads(session.text)["nodes"]["save"]["path"] == "@@home.png"
    assert row(session, "save", "path").value == "@home.png"


def test_a_deleted_node_takes_its_links_along(session: Session) -> None:
    session.remove_node("decode")
    assert json.loads(session.text)["nodes"]["grid"] == {"type": "ImageGrid", "images": []}
    session.remove_node("guide")
    assert [(p.place.node, p.place.input or p.what) for p in session.errors] == [("denoise", '"guider" is required')]
    session.undo()
    assert session.errors == []


def test_a_node_is_added_and_wired_by_type(session: Session) -> None:
    name = session.add_node("VAEEncode")
    assert name == "vae_encode"
    assert session.text.startswith(TEXT[:-7])
    assert sources_for(session, name, "image")[0].node == "grid"
    assert {link.node for link in sources_for(session, name, "image")} == {"decode", "grid"}
    assert [str(link) for link in sources_for(session, name, "vae")] == ["base.vae"]
    session.link(name, "image", "decode")
    session.link(name, "vae", "base", "vae")
    session.link("denoise", "latent", "schedule")
    assert [p.code for p in session.errors] == ["E-TYPE"]
    session.undo()
    assert session.errors == []
    assert ("denoise", "latent") not in targets_for(session, name, "latent"), "it would close a circle"
    assert targets_for(session, "noise", "noise") == [("denoise", "noise")]


def test_a_list_input_gets_one_link_more(session: Session) -> None:
    session.link("grid", "images", "decode")
    assert json.loads(session.text)["nodes"]["grid"]["images"] == ["@decode", "@decode"]


def test_ids_are_made_of_types_and_are_free() -> None:
    assert free_id("VAEDecode", {}) == "vae_decode"
    assert free_id("CFG", {"cfg": 1, "cfg_2": 1}) == "cfg_3"
    assert free_id("UNetDenoise", {}) == "u_net_denoise"


def test_a_bypassed_node_is_left_out_of_runs_and_stays_in_the_file(session: Session) -> None:
    assert "text" in session.command()
    assert session.toggle_bypass("grid")
    told = session.command()["document"]["nodes"]
    assert told["save"]["image"] == "@decode"
    assert "grid" not in told
    assert session.left_out() == {"grid"}
    assert session.text == TEXT
    assert session.toggle_mute("guide")
    assert session.left_out() == {"grid", "guide", "denoise", "decode", "save"}
    assert not session.toggle_mute("guide")
    assert not session.toggle_bypass("grid")
    assert "text" in session.command()


def test_several_values_are_one_change(session: Session) -> None:
    session.set_values({"steps": 9, "guide.scale": 3.0, "nobody": 1}, "pick")
    data = json.loads(session.text)
    assert (data["params"]["steps"]["default"], data["nodes"]["guide"]["scale"]) == (9, 3.0)
    assert session.undo() == "pick"
    assert session.text == TEXT


def test_saving_writes_the_text_and_keeps_links_and_modes(session: Session, tmp_path: Path) -> None:
    real = tmp_path / "real.json"
    real.write_text(TEXT.replace("\n", "\r\n"))
    real.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(real)
    other = Session.open(link, nodes.registry())
    other.set_param("seed", 8)
    other.save()
    assert real.read_bytes() == TEXT.replace("\n", "\r\n").replace('"seed": 7,', '"seed": 8,').encode()
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o640
    assert not other.modified


def test_the_file_may_change_under_it(session: Session) -> None:
    path = session.path
    assert path is not None
    assert session.on_disk() == "same"
    path.write_text(TEXT.replace("ddim", "euler") + "\n")
    assert session.on_disk() == "changed"
    assert session.reload()
    assert session.on_disk() == "same"
    assert row(session, "sampler", "kind").value == "euler"
    assert session.undo() == "reload"
    assert session.text == TEXT
    assert session.modified
    path.unlink()
    assert session.on_disk() == "gone"
    with pytest.raises(WeftError, match="E-NOTFOUND"):
        session.reload()
    assert session.text == TEXT


def test_a_broken_file_opens_with_its_problems_and_can_be_mended(tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text(TEXT.replace('"scale": 6.0', '"scale": "lots"').replace('"kind"', '"knd"'))
    session = Session.open(path, nodes.registry())
    assert [(p.code, p.place.node, p.place.input) for p in session.errors] == [
        ("E-INPUT", "sampler", "knd"), ("E-TYPE", "guide", "scale"),
    ]  # fmt: skip
    assert session.workflow is None
    assert row(session, "guide", "scale").problem is not None
    assert row(session, "", "steps").spec is not None
    session.set_input("guide", "scale", 6.0)
    session.reset_input("sampler", "knd")
    assert session.errors == []


def test_what_is_no_json_shows_where(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(TEXT[:200])
    session = Session.open(path, nodes.registry())
    assert session.document is None
    assert session.errors[0].place.line > 1
    path.write_text(TEXT)
    assert session.reload()
    assert session.errors == []


def test_a_picture_without_a_workflow_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(picture())
    with pytest.raises(WeftError, match="E-NOMETA"):
        Session.open(path, nodes.registry())


def test_a_picture_that_weft_made_opens_as_a_copy_without_a_file(session: Session, tmp_path: Path) -> None:
    path = tmp_path / "made.png"
    path.write_bytes(with_chunks(picture(), [Text("weft_workflow", json.dumps(session.data))]))
    opened = Session.open(path, nodes.registry())
    assert (opened.path, opened.name, opened.data) == (None, "made.json", session.data)
    assert opened.workflow is not None
    assert len(opened.text.splitlines()) > len(session.nodes)


def test_a_shipped_workflow_is_a_copy_without_a_file(session: Session, tmp_path: Path) -> None:
    assert session.path is not None
    copy = Session.open(session.path, nodes.registry(), name="digits.json")
    assert copy.path is None
    assert copy.folder == session.path.parent
    with pytest.raises(WeftError, match="no file yet"):
        copy.save()
    copy.save(tmp_path / "mine.json")
    assert copy.name == "mine.json"
    assert (tmp_path / "mine.json").read_text() == TEXT


def test_rows_say_what_each_input_is(session: Session) -> None:
    kinds = {f.name: (f.kind, f.shown) for f in fields_of(session, "guide")}
    assert kinds["model"] == ("link", "← base.model")
    assert kinds["scale"] == ("number", "6.0")
    assert kinds["positive"] == ("link", "–")
    assert row(session, "schedule", "steps").param == "steps"
    assert row(session, "schedule", "steps").value == 20
    assert row(session, "noise", "seed").kind == "seed"
    assert row(session, "sampler", "kind").kind == "choice"
    assert row(session, "guide", "rescale").is_default
    assert row(session, "", "steps").about == "how many"
    assert row(session, "grid", "images").shown == "← decode"


def test_hostile_text_is_shown_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    hostile = "[@click=app.quit]x[/] \x1b[2J \u202e \u200b"
    document = {"format": 1, "nodes": {"a": {"type": "Text", "text": hostile}, hostile: {"type": hostile}}}
    path.write_text(json.dumps(document))
    session = Session.open(path, nodes.registry())
    shown = next(f for f in fields_of(session, "a")).shown
    assert not {"\x1b", "\u202e", "\u200b"} & set(shown)
    assert fields_of(session, hostile) == []


def test_typed_text_is_read_as_the_input_takes_it(session: Session) -> None:
    scale = row(session, "guide", "scale")
    assert scale.read("7") == 7.0
    with pytest.raises(Bad, match="outside"):
        scale.read("-1")
    with pytest.raises(Bad, match="expected a number"):
        scale.read("lots")
    assert row(session, "grid", "labels").read('["a", "b"]') == ["a", "b"]
    with pytest.raises(Bad, match="did you mean"):
        row(session, "sampler", "kind").read("eulr")


def test_nudging_stays_in_the_range(session: Session) -> None:
    steps = row(session, "", "steps")
    assert nudged(steps, 1) == 21
    assert nudged(steps, -100) == 1
    assert nudged(row(session, "guide", "rescale"), 1) == 0.02
    assert nudged(row(session, "guide", "scale"), -1) == 4.0
    assert nudged(row(session, "sampler", "kind"), 1) == "euler"
    assert nudged(row(session, "blank", "width"), 1) % 8 == 0
    assert nudged(row(session, "grid", "smooth"), 1) is True
    with pytest.raises(Bad):
        nudged(row(session, "save", "path"), 1)
    with pytest.raises(Bad):
        nudged(row(session, "guide", "model"), 1)
    assert step_of(row(session, "guide", "rescale").spec, 0.5) == 0.02  # type: ignore[arg-type]


def test_what_is_absent_is_not_null(session: Session) -> None:
    assert row(session, "guide", "positive").raw is ABSENT
    assert row(session, "guide", "positive").value is None
