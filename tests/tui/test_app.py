"""The app, with an engine that says what the test wants: keys, states, edits, runs, the file."""

import base64
import json
from pathlib import Path

import pytest
from fake_engine import WORKFLOW, Stage, picture, play


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(WORKFLOW, indent=2))
    return path


def test_before_a_run_it_shows_what_is_cached_and_what_would_run(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.engine.cached = {"base", "positive"}
        stage.app.desk.replan()
        await stage.settle()
        assert "≡ base" in stage.text()
        assert "cached" in stage.row("base ")
        assert "will run" in stage.row("denoise ")
        assert "8 of 10 will run" in stage.text()
        assert "x.json" in stage.text().splitlines()[0]

    play(work, tmp_path, file)


def test_a_run_from_f5_to_its_picture(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("f5")
        (command,) = stage.engine.sent_runs()
        assert json.loads(command["text"]) == WORKFLOW
        assert command["previews"] > 0
        stage.engine.begin(seeds=[{"seed": 7}])
        stage.engine.node("cached", "base")
        stage.engine.node("started", "denoise")
        for step in range(1, 6):
            stage.engine.node("progress", "denoise", step=step, total=20, preview=base64.b64encode(picture()).decode())
        await stage.settle()
        assert "5/20" in stage.row("▶ denoise")
        assert "Preview · denoise step 5/20" in stage.text()
        assert "▀" in stage.text()
        assert "run 1" in stage.text().splitlines()[0]
        assert stage.main.focused is stage.main.graph, "a run moves no focus"
        saved = tmp_path / "x.png"
        saved.write_bytes(picture(90))
        stage.engine.node("finished", "denoise", seconds=2.5)
        stage.engine.node("finished", "save", files=[{"path": str(saved), "digest": "d", "mime": "image/png"}])
        stage.engine.end()
        await stage.settle()
        assert "2.5 s" in stage.row("✓ denoise")
        assert "✓ done" in stage.text()
        await stage.press("p")
        assert stage.screen_name == "image"
        await stage.until(lambda: "8 × 8" in stage.text())
        await stage.press("escape")
        assert stage.screen_name == "main"

    play(work, tmp_path, file)


def test_a_value_is_edited_checked_as_typed_undone_and_saved_to_the_byte(tmp_path: Path, file: Path) -> None:
    before = file.read_text()

    async def work(stage: Stage) -> None:
        stage.main.graph.select("guide")
        stage.main.selected()
        await stage.press("enter")
        assert stage.main.pane == "params"
        stage.main.params.select("guide.scale")
        await stage.press("enter", "1", "0", "1")
        assert "outside 0…100" in stage.text()
        await stage.press("enter")
        assert stage.screen_name != "main", "what is wrong is not taken"
        await stage.press("backspace", "enter")
        assert stage.session.text == before.replace("6.0", "10.0")
        assert "● modified" in stage.text()
        await stage.press("u")
        assert stage.session.text == before
        await stage.press("U", "plus", "ctrl+s")
        assert file.read_text() == before.replace("6.0", "12.0")
        assert "modified" not in stage.text()

    play(work, tmp_path, file)


def test_choices_flags_links_and_params(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        main = stage.main
        main.graph.select("sampler")
        main.selected()
        await stage.press("2", "enter")
        await stage.type("heun")
        await stage.press("enter")
        assert stage.session.nodes["sampler"]["kind"] == "heun"
        await stage.press("space")
        assert stage.session.nodes["sampler"]["kind"] == "dpm2"
        main.graph.select("schedule")
        main.selected()
        main.params.select("schedule.zero_snr")
        await stage.press("enter")
        assert stage.session.nodes["schedule"]["zero_snr"] is True
        await stage.press("backspace")
        assert "zero_snr" not in stage.session.nodes["schedule"]
        main.params.select("schedule.steps")
        await stage.press("minus")
        assert stage.session.data["params"]["steps"]["default"] == 19, "a param feeds it"
        main.params.select("schedule.model")
        await stage.press("enter")
        assert main.graph.selected == "base", "enter on a link goes to where it comes from"
        main.graph.select("guide")
        main.selected()
        main.params.select("guide.negative")
        await stage.press("w")
        assert "positive" in stage.text()
        await stage.press("enter")
        assert stage.session.nodes["guide"]["negative"] == "@positive"

    play(work, tmp_path, file)


def test_moving_follows_rows_and_links(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        graph = stage.main.graph
        order = graph.order
        await stage.press("j", "down", "k")
        assert graph.selected == order[1]
        await stage.press("end")
        assert graph.selected == order[-1] == "save"
        await stage.press("left")
        assert graph.selected == "decode"
        await stage.press("h")
        assert graph.selected == "base"
        await stage.press("l", "home", "pagedown")
        assert graph.selected == "save"
        await stage.press("v")
        assert graph.drawing == "canvas"
        assert "╭─ " in stage.text()
        await stage.press("v", "down")
        assert graph.drawing == "json"
        assert '"format"' in stage.text() or '"save"' in stage.text()
        await stage.press("v")
        assert graph.drawing == "rails"
        for key, pane in (("2", "params"), ("3", "preview"), ("4", "outputs"), ("tab", "graph"), ("escape", "graph")):
            await stage.press(key)
            assert stage.main.pane == pane

    play(work, tmp_path, file)


def test_bypass_mute_and_delete(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        graph = stage.main.graph
        graph.select("guide")
        stage.main.selected()
        await stage.press("d")
        assert stage.state("denoise").glyph == "⤼"
        assert "document" in stage.session.command()
        await stage.press("u")
        assert stage.state("denoise").glyph == "◌"
        await stage.press("delete")
        assert "guide" not in stage.session.nodes
        assert stage.state("denoise").glyph == "⚠"
        assert '"guider" is required' in stage.text()
        await stage.press("f5")
        assert stage.engine.sent_runs() == []
        assert stage.main.graph.selected == "denoise", "the cursor goes to what is wrong"
        await stage.press("escape", "u", "b")
        assert stage.state("denoise").glyph == "⤼"

    play(work, tmp_path, file)


def test_seeds_are_drawn_counted_up_or_left(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        async def run() -> int:
            await stage.press("f5")
            seed = json.loads(stage.engine.sent_runs()[-1]["text"])["params"]["seed"]
            stage.engine.begin(seeds=[{"seed": seed}])
            stage.engine.end()
            await stage.settle()
            return int(seed)

        assert [await run(), await run()] == [7, 7]
        await stage.press("S")
        assert [await run(), await run()] == [8, 9]
        await stage.press("S")
        assert await run() != await run()
        await stage.press("S", "s")
        seed = stage.session.data["params"]["seed"]
        assert await run() == seed
        await stage.press("u")
        assert stage.session.data["params"]["seed"] != seed

    play(work, tmp_path, file)


def test_stop_asks_the_engine_and_what_waits_waits(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("x")
        assert not [m for m in stage.engine.sent if m["do"] == "cancel"], "nothing runs"
        await stage.press("f5", "f5", "f5")
        assert len(stage.engine.sent_runs()) == 1, "one at a time"
        run = stage.engine.begin()
        await stage.settle()
        assert "queue 2" in stage.text().splitlines()[0]
        await stage.press("x")
        assert stage.engine.sent[-1] == {"do": "cancel", "run": run}
        stage.engine.node("started", "denoise")
        stage.engine.node("skipped", "denoise", because="cancelled")
        stage.engine.end("cancelled")
        await stage.settle()
        assert "⊘ cancelled" in stage.text()
        assert stage.state("denoise").glyph == "⊘"
        assert len(stage.engine.sent_runs()) == 1
        await stage.press("Q")
        assert stage.screen_name == "queue"
        assert "paused" in stage.text()
        await stage.press("space")
        assert len(stage.engine.sent_runs()) == 2
        await stage.press("down", "delete")
        assert len(stage.app.desk.queue) == 0

    play(work, tmp_path, file)


def test_a_dead_engine_is_told_without_a_traceback_and_f5_works_again(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("started", "denoise")
        await stage.settle()
        stage.engine.die()
        await stage.settle()
        assert "signal 9, likely out of memory" in stage.text()
        assert "Traceback" not in stage.text()
        assert stage.state("denoise").glyph == "✗"
        assert "engine gone" in stage.text().splitlines()[0]
        await stage.press("f5")
        assert len(stage.engine.sent_runs()) == 2
        stage.engine.begin()
        stage.engine.end()
        await stage.settle()
        assert "✓ done" in stage.text()

    play(work, tmp_path, file)


def test_a_failed_node_shows_what_where_and_what_now(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        await stage.press("f5")
        stage.engine.begin()
        stage.engine.node("started", "denoise")
        problem = {"code": "E-MEMORY", "what": "out of memory: 12 GiB [/red] \x1b[2J", "where": "denoise",
                   "hint": "make blank.width=1024 smaller", "node": "denoise", "input": "", "exit_code": 1}  # fmt: skip
        stage.engine.node("failed", "denoise", problems=[problem], traceback="Traceback (most recent call last)")
        stage.engine.node("skipped", "decode", because="denoise")
        stage.engine.end("failed")
        await stage.settle()
        stage.main.graph.select("denoise")
        stage.main.selected()
        await stage.settle()
        text = stage.text()
        assert "E-MEMORY" in text
        assert "make blank.width=1024 smaller" in text
        assert "[/red]" in text
        assert "\x1b" not in text
        # the key that unfolds it is called so too
        assert "Traceback (most" not in text

    play(work, tmp_path, file)


def test_a_missing_model_is_a_state(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.engine.plan_problems = [{
            "code": "E-NOTFOUND", "what": "no model at sdxl", "hint": "download it", "where": "base.source",
            "node": "base", "input": "source", "line": 1, "column": 1, "exit_code": 3,
        }]  # fmt: skip
        stage.app.desk.replan()
        await stage.settle()
        assert stage.state("base").glyph == "⇩"
        assert "no model at sdxl; download it" in stage.text()

    play(work, tmp_path, file)


def test_the_mouse_selects_edits_and_drags(tmp_path: Path, file: Path) -> None:
    async def work(stage: Stage) -> None:
        main, pilot = stage.main, stage.pilot
        order = main.graph.order
        await pilot.click("#graph", offset=(30, 3))
        await stage.settle()
        assert main.graph.selected == order[2]
        await pilot.click("#graph", offset=(30, 3))
        await stage.settle()
        assert main.pane == "params", "a second click goes to the values"
        main.go_to("sampler")
        main.params.select("sampler.eta")
        row = next(i for i, r in enumerate(main.params.rows) if r.field is not None and r.field.name == "kind")
        await pilot.click("#params", offset=(6, row + 1))
        await pilot.click("#params", offset=(6, row + 1))
        await stage.settle()
        assert stage.screen_name == "Choose"
        await stage.press("escape")
        before = main.graph.size.width
        await pilot.mouse_down("Splitter", offset=(0, 5))
        await pilot.hover("Splitter", offset=(-10, 5))
        await pilot.mouse_up("#graph", offset=(before - 8, 5))
        await stage.settle()
        assert main.graph.size.width == before - 10
        await stage.press("1", "z")
        assert main.graph.size.width > 110
        assert "Preview" not in stage.text()
        await stage.press("z")
        assert "Preview" in stage.text()

    play(work, tmp_path, file)


def test_a_long_text_keeps_its_lines(tmp_path: Path) -> None:
    file = tmp_path / "long.json"
    document = json.loads(json.dumps(WORKFLOW))
    document["params"]["prompt"] = "a fox\nin snow"
    file.write_text(json.dumps(document))

    async def work(stage: Stage) -> None:
        stage.main.go_to("positive")
        stage.main.params.select("positive.text")
        await stage.press("2", "enter")
        assert stage.screen_name == "AskLines"
        await stage.press("ctrl+j")
        await stage.type("at dawn")
        await stage.press("enter")
        assert stage.session.data["params"]["prompt"] == "a fox\nin snow\nat dawn"

    play(work, tmp_path, file)
