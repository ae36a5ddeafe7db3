"""The app and its surroundings: files that change or are broken, the start, sizes, hostile texts, stories."""

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, graph_of, picture, play
from textual.events import Paste

from tui.config import Config
from tui.screens.filing import editor_command

ROOT = Path(__file__).parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def test_story_3_42_nodes_at_80_by_24_are_searched_edited_run_and_cancelled(tmp_path: Path) -> None:
    file = tmp_path / "big.json"
    file.write_text(json.dumps(graph_of(42), indent=1))

    async def work(stage: Stage) -> None:
        assert len(stage.session.nodes) == 42
        assert all(len(line) <= 80 for line in stage.text().splitlines())
        await stage.press("slash")
        await stage.type("hires")
        await stage.press("enter")
        assert stage.main.graph.selected == "hires"
        assert "hires" in stage.text()
        await stage.press("enter")
        stage.main.params.select("hires.scale")
        await stage.press("enter", "8", "enter", "f5")
        command = stage.engine.sent_runs()[-1]
        assert json.loads(command["text"])["nodes"]["hires"]["scale"] == 8.0
        stage.engine.cached = set(stage.session.nodes) - {"hires", "again", "decode", "save"}
        stage.engine.begin()
        stage.engine.node("started", "again")
        for step in range(1, 6):
            stage.engine.node("progress", "again", step=step, total=20, preview=base64.b64encode(picture()).decode())
        await stage.settle()
        assert stage.app.desk.board.run.count() == 0
        running = [n for n in stage.session.nodes if stage.state(n).glyph in "▶·"]
        assert sorted(running) == ["again", "decode", "hires", "save"], "only what is stale runs"
        await stage.press("x")
        for name in ("again", "decode", "save"):
            stage.engine.node("skipped", name, because="cancelled")
        stage.engine.end("cancelled")
        await stage.press("3")
        assert "▀" in stage.text(), "the partial preview stays"
        assert stage.app.desk.board.run.preview.step == 5

    play(work, tmp_path, file, size=(80, 24))


def test_story_2_a_file_mended_in_an_editor_is_reloaded_and_the_selection_stays(tmp_path: Path, file: Path) -> None:
    good = file.read_text()
    file.write_text(good.replace('"scale": 6.0', '"scael": 6.0'))

    async def work(stage: Stage) -> None:
        assert stage.main.graph.selected == "guide", "the cursor is at the first error"
        assert stage.state("guide").glyph == "⚠"
        assert 'no input "scael"' in stage.text()
        changed = time.monotonic()
        file.write_text(good)
        await stage.until(lambda: not stage.session.errors, 2.0)
        assert time.monotonic() - changed < 1.0
        await stage.settle()
        assert stage.main.graph.selected == "guide"
        assert stage.state("guide").glyph == "◌"

    play(work, tmp_path, file)


async def changed_in_both(stage: Stage, file: Path) -> None:
    """A param is changed here and a sampler on disk, and what to do is asked."""
    stage.session.set_param("steps", 30)
    stage.app.desk.edited()
    file.write_text(file.read_text().replace("ddim", "euler"))
    await stage.until(lambda: stage.screen_name == "Confirm")


def test_a_change_on_disk_and_one_here_are_a_question(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await changed_in_both(stage, file)
        await stage.until(lambda: "has changed on disk" in stage.text())
        await stage.press("t")
        assert stage.session.nodes["sampler"]["kind"] == "euler"
        await stage.press("u")
        assert stage.session.data["params"]["steps"]["default"] == 30, "what was here can be had again"

    play(work, tmp_path, file)


def test_of_what_is_on_disk_and_here_the_difference_is_shown_and_taken_alone(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await changed_in_both(stage, file)
        await stage.press("d")
        await stage.until(lambda: "the file on disk → what is open" in stage.text() and "sampler.kind" in stage.text())
        rows = stage.app.screen.query_one("Rows")
        rows.highlighted = next(i for i, d in enumerate(stage.app.screen._found) if d.path == "sampler.kind")
        await stage.settle()
        await stage.press("enter")
        assert stage.session.nodes["sampler"]["kind"] == "euler"
        assert stage.session.data["params"]["steps"]["default"] == 30, "mine stays"
        await stage.press("escape", "ctrl+s")
        assert stage.screen_name == "Confirm", "saving asks again"
        await stage.press("o")
        saved = json.loads(file.read_text())
        assert (saved["nodes"]["sampler"]["kind"], saved["params"]["steps"]["default"]) == ("euler", 30)

    play(work, tmp_path, file)


def test_a_file_that_is_no_json_opens_at_its_first_error(tmp_path: Path, file: Path) -> None:
    text = file.read_text()
    file.write_text(text[: text.index('"sampler"')])

    async def work(stage: Stage) -> None:
        await stage.until(lambda: stage.screen_name == "Tell")
        await stage.press("escape")
        assert stage.main.graph.drawing == "json"
        assert "⚠" in stage.text()
        await stage.press("f5")
        assert stage.engine.sent_runs() == []

    play(work, tmp_path, file)


def test_what_cannot_be_opened_leads_to_the_start(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.until(lambda: stage.screen_name == "start" and "E-NOTFOUND" in stage.text())

    play(work, tmp_path, tmp_path / "nothing.json")


def test_the_start_lists_what_ships_and_opens_it_as_a_copy(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        assert stage.screen_name == "start"
        assert "ddpm-digits" in stage.text()
        rows = stage.app.screen.query_one("Rows")
        rows.highlighted = stage.app.screen._ids.index("name ddpm-digits")
        await stage.press("enter")
        await stage.until(lambda: stage.app.desk.session is not None)
        await stage.settle()
        assert stage.screen_name == "main"
        assert "not saved" in stage.text()
        await stage.press("ctrl+s")
        assert stage.screen_name == "AskText"
        await stage.press("ctrl+u")
        await stage.type("".join(c for c in "mine"))
        await stage.press("escape")
        assert stage.session.path is None

    play(work, tmp_path)


def test_leaving_with_changes_asks_first(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.session.set_param("steps", 30)
        stage.app.desk.edited()
        await stage.press("ctrl+q")
        assert "changes that are not saved" in stage.text()
        await stage.press("escape", "ctrl+q", "s")
        await stage.until(lambda: not stage.app.is_running)
        assert json.loads(file.read_text())["params"]["steps"]["default"] == 30
        assert stage.app.return_value == 0

    play(work, tmp_path, file)


def test_hostile_names_and_texts_are_harmless(tmp_path: Path) -> None:
    hostile = "[@click=app.bell]x[/] [/red] \x1b[31m \u202e\u200b"
    file = tmp_path / "h.json"
    document = {
        "format": 1,
        "name": hostile,
        "params": {"p": {"default": hostile, "about": hostile}},
        "nodes": {
            "a": {"type": "Text", "value": "$p", "about": hostile},
            "save": {"type": "SaveText", "value": "@a", "path": "x.txt"},
            "odd": {"type": hostile, hostile: hostile},
        },
    }
    file.write_text(json.dumps(document))

    async def work(stage: Stage) -> None:
        for keys in (["v"], ["v"], ["v"], ["2"], ["1", "end"], ["y"], ["escape", "slash"], ["escape", "question_mark"]):
            await stage.press(*keys)
            assert not {"\x1b", "\u202e", "\u200b"} & set(stage.text()), keys
        await stage.press("escape")
        stage.app.say(hostile)
        stage.app.desk.note(hostile)
        await stage.press("g")
        assert "[/red]" in stage.text()

    play(work, tmp_path, file)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (60, 16)])
def test_every_screen_fits_the_terminal(tmp_path: Path, file: Path, size: tuple[int, int]) -> None:
    async def work(stage: Stage) -> None:
        for keys in (["2"], ["3"], ["4"], ["1"], ["Q"], ["escape", "g"], ["escape", "comma"], ["escape", "W"],
                     ["escape", "question_mark"]):  # fmt: skip
            await stage.press(*keys)
            lines = stage.text().splitlines()
            assert len(lines) == size[1], keys
            assert lines[-1].endswith("keys"), keys

    play(work, tmp_path, file, size=size)


def test_settings_are_taken_and_written(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFT_CONFIG", str(tmp_path / "config"))

    async def work(stage: Stage) -> None:
        await stage.press("comma")
        await stage.press("enter")
        assert stage.app.theme == "weft-light"
        assert "weft-light" in (tmp_path / "config" / "tui.toml").read_text()

    play(work, tmp_path, file)


def test_own_keys_do_what_they_are_set_to(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("f5")
        assert stage.engine.sent_runs() == []
        assert "f9Run" in stage.text()
        await stage.press("f9")
        assert len(stage.engine.sent_runs()) == 1

    play(work, tmp_path, file, config=Config(keys={"run.queue": "f9"}))


def test_the_process_imports_nothing_heavy(tmp_path: Path, file: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_app import play
async def work(stage):
    for keys in (["v"], ["v"], ["f5"], ["Q"], ["escape"], ["W"], ["escape"], ["comma"]):
        await stage.press(*keys)
play(work, Path({str(tmp_path)!r}), Path({str(file)!r}))
print(*sys.modules)
"""
    code = code.replace("from test_app import play", "from fake_engine import play")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {*done.stdout.split()}
    assert not loaded & {"torch", "diffusers", "transformers", "numpy", "networkx", "safetensors", "peft"}
    assert "textual" in loaded


def test_below_the_smallest_size_it_says_so(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        assert "too small: 60 × 16 at least" in stage.text()
        await stage.pilot.resize_terminal(80, 24)
        await stage.settle()
        assert "denoise" in stage.text()
        assert "too small" not in stage.text()

    play(work, tmp_path, file, size=(50, 12))


def test_a_narrow_terminal_shows_a_thumbnail_in_the_free_corner(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("started", "denoise")
        stage.engine.node("progress", "denoise", step=1, total=20, preview=base64.b64encode(picture()).decode())
        await stage.settle()
        assert "▀" in stage.text().splitlines()[-4]
        assert "denoise" in stage.text()
        await stage.pilot.resize_terminal(120, 40)
        await stage.settle()
        assert not stage.main.has_class("-thumb"), "there is a pane for it"

    play(work, tmp_path, file, size=(80, 24))


def test_several_runs_are_queued_with_seeds_of_their_own(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.main.action_run_times()
        await stage.press("backspace", "3", "enter")
        stage.engine.begin()
        await stage.settle()
        assert len(stage.app.desk.queue) == 2
        orders = [stage.app.desk.queue.current, *stage.app.desk.queue.waiting]
        assert len({json.loads(order.command["text"])["params"]["seed"] for order in orders}) == 3

    play(work, tmp_path, file)


def test_all_values_of_a_node_go_back_as_one_change(tmp_path: Path, file: Path) -> None:
    before = file.read_text()

    async def work(stage: Stage) -> None:
        stage.main.go_to("guide")
        stage.main.action_edit_reset_all()
        assert stage.session.nodes["guide"] == {k: v for k, v in WORKFLOW["nodes"]["guide"].items() if k != "scale"}
        await stage.press("u")
        assert stage.session.text == before

    play(work, tmp_path, file)


def test_a_file_dropped_on_the_terminal_is_opened(tmp_path: Path, file: Path) -> None:
    other = tmp_path / "an other.json"
    other.write_text(file.read_text())

    async def work(stage: Stage) -> None:
        stage.main.graph.post_message(Paste(f"'{other}'\n"))
        await stage.until(lambda: stage.session.path == other)
        stage.main.graph.post_message(Paste("just words"))
        await stage.settle()
        assert stage.session.path == other
        picture_file = tmp_path / "x.png"
        picture_file.write_bytes(picture())
        stage.main.graph.post_message(Paste(str(picture_file)))
        await stage.until(lambda: "no generation data" in stage.text())

    play(work, tmp_path, file)


def test_the_editor_opens_at_the_selected_node_and_what_it_wrote_is_read(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    @contextlib.contextmanager
    def lend(app: object) -> Iterator[None]:
        yield

    def editor(words: list[str], **how: object) -> None:
        called.append(words)
        file.write_text(file.read_text().replace('"ddim"', '"euler"'))

    monkeypatch.setattr("tui.app.WeftApp.suspend", lend)
    monkeypatch.setattr("tui.screens.filing.subprocess.run", editor)
    monkeypatch.setenv("VISUAL", "nvim -n")

    async def work(stage: Stage) -> None:
        stage.main.go_to("sampler")
        await stage.press("e")
        line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if '"sampler": {' in text)
        assert called == [["nvim", "-n", f"+{line}", str(file)]]
        assert stage.session.nodes["sampler"]["kind"] == "euler"
        assert stage.main.graph.selected == "sampler"
        stage.session.set_param("steps", 3)
        stage.app.desk.edited()
        await stage.press("e", "s")
        assert len(called) == 2
        assert stage.session.data["params"]["steps"]["default"] == 3

    play(work, tmp_path, file)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [("vim", ["vim", "+7", "f.json"]), ("code -n", ["code", "-n", "--wait", "--goto", "f.json:7"]),
     ("/usr/bin/nano", ["/usr/bin/nano", "+7", "f.json"]), ("ed", ["ed", "f.json"])],
)  # fmt: skip
def test_editors_are_told_the_line_as_they_understand_it(
    chosen: str, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", chosen)
    assert editor_command(Path("f.json"), 7) == words
