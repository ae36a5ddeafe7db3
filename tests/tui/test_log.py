"""The log: what the engine said, also when there was more than is kept."""

from pathlib import Path

from fake_engine import Stage, play

from tui import desk


def test_new_lines_are_shown_when_the_oldest_are_gone(tmp_path: Path) -> None:
    async def work(stage: Stage) -> None:
        stage.app.show_screen("log")
        for n in range(desk.LOG_LINES + 1):
            stage.app.desk.note(f"line {n}")
        stage.engine.feed({"event": "log", "text": "said \x1b[31mlast"})
        await stage.until(lambda: "said ⟨U+001B⟩[31mlast" in stage.text())
        stage.engine.feed({"event": "log", "text": "and after it"})
        await stage.until(lambda: "and after it" in stage.text())
        assert stage.text().count("and after it") == 1
        await stage.press("y")
        assert stage.app.clipboard.endswith(f"line {desk.LOG_LINES}\nsaid \x1b[31mlast\nand after it")

    play(work, tmp_path)
