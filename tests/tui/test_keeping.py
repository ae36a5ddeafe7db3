"""What stays: history, settings, the queue; and which keys are live."""

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tui import config, keytable
from tui.board import Run
from tui.history import History, new_id, state_root
from tui.keys import FACTS, Action, Situation, footer, live, problems, shown
from tui.queue import Order, Queue, about


@pytest.fixture
def history(tmp_path: Path) -> History:
    return History(tmp_path / "state")


def done(run: str, status: str = "done") -> Run:
    found = Run(run, status, seconds=3.0, seeds=[{"seed": 7}])
    found.outputs = [{"path": "out/a.png", "digest": "d", "mime": "image/png", "node": "save", "variant": 0}]
    return found


def ran(history: History, run: str, prompt: str = "a fox", **sets: Any) -> None:
    history.begin(run, "/there/animal.json", "Animal", json.dumps({"prompt": prompt}), sets, "cpu")
    history.log(run, [{"event": "run_started", "run": run}])
    history.log(run, [{"event": "node_progress", "step": 1}])
    history.finish(done(run), {"UNetDenoise cpu": [2.0]})


def test_a_run_is_kept_with_outputs_values_and_events(history: History) -> None:
    ran(history, "r1", steps=20)
    (past,) = history.runs()
    assert (past.id, past.name, past.status, past.sets, past.seeds) == (
        "r1",
        "Animal",
        "done",
        {"steps": 20},
        [{"seed": 7}],
    )
    assert Path(past.outputs[0]["path"]).is_absolute()
    assert [e["event"] for e in history.events("r1")] == ["run_started", "node_progress"]
    assert all(e["at"] > 1e9 for e in history.events("r1"))
    assert history.run("r1") == past
    assert history.run("r2") is None
    assert list(history.events("r2")) == []


def test_runs_are_found_by_words_newest_first(history: History) -> None:
    for n, prompt in enumerate(["a fox", "a red fox", "a cat"]):
        ran(history, f"r{n}", prompt)
    assert [p.id for p in history.runs()] == ["r2", "r1", "r0"]
    assert [p.id for p in history.runs("FOX")] == ["r1", "r0"]
    assert [p.id for p in history.runs("red fox")] == ["r1"]
    assert [p.id for p in history.runs(limit=1)] == ["r2"]


def test_a_run_can_be_starred_and_forgotten(history: History) -> None:
    ran(history, "r1")
    history.star("r1", True)
    assert history.runs()[0].starred
    history.delete("r1")
    assert history.runs() == []
    assert not list((history.root / "runs").iterdir())


def test_old_runs_go_but_starred_ones_stay(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.history.RUNS_KEPT", 2)
    ran(history, "r0")
    history.star("r0", True)
    for n in range(1, 5):
        ran(history, f"r{n}")
    assert [p.id for p in history.runs()] == ["r4", "r3", "r0"]


def test_what_nodes_took_is_a_median_by_signature(history: History) -> None:
    for seconds in (1.0, 9.0, 2.0):
        history.begin("r", "", "x", "{}", {}, "cpu")
        history.finish(Run("r", "done"), {"A": [seconds], "B": [4.0]})
    assert history.took() == {"A": 2.0, "B": 4.0}


def test_recent_files_are_those_still_there(history: History, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).touch()
        history.opened(tmp_path / name)
    (tmp_path / "b").unlink()
    history.opened(tmp_path / "a")
    assert [path.name for path, _ in history.recent()] == ["a", "c"]


def test_a_damaged_history_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"not a database, but long enough to be taken for one" * 100)
    history = History(tmp_path)
    ran(history, "r")
    assert len(history.runs()) == 1
    assert (tmp_path / "history.sqlite.aside").exists()


def test_a_history_that_cannot_be_written_is_empty_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = History(tmp_path / "file")
    assert history.broken
    ran(history, "r")
    assert history.runs() == []
    assert history.recent() == []


def test_another_process_may_use_it_too(history: History) -> None:
    other = History(history.root)
    threads = [
        threading.Thread(target=ran, args=(h, f"{n}-{i}")) for n in range(5) for i, h in enumerate((history, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not history.broken
    assert not other.broken
    assert len(other.runs()) == 10


def test_ids_name_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert new_id() != new_id()
    assert new_id().replace("-", "").isalnum()
    monkeypatch.setenv("WEFT_STATE", str(tmp_path))
    assert state_root() == tmp_path


def order(name: str) -> Order:
    return Order(name, {})


def test_a_queue_gives_one_run_at_a_time_in_an_order_that_can_be_changed() -> None:
    queue = Queue()
    assert queue.next() is None
    for name in "abcd":
        queue.add(order(name))
    assert queue.next() == order("a")
    assert queue.next() is None, "one at a time"
    assert queue.move("d", -1)
    assert not queue.move("b", -1), "it is the first"
    assert queue.move("b", 9)
    assert [o.id for o in queue.waiting] == ["d", "c", "b"]
    assert queue.remove("c")
    assert not queue.remove("a")
    queue.over("x")
    assert queue.next() is None
    queue.over("a")
    queue.paused = True
    assert queue.next() is None
    queue.paused = False
    assert queue.next() == order("d")
    assert queue.clear() == 1
    assert len(queue) == 0


def test_what_is_special_about_a_run() -> None:
    assert about({"seed": 7}, [{"steps": [1, 2, 3]}]) == "seed 7, steps × 3"
    assert about({}) == ""


IDLE = Situation()
OPEN = Situation(file=True, node=True, seed=True, engine=True)


def ids(now: Situation, screen: str = "main") -> set[str]:
    return {action.id for action in live(keytable.TABLES[screen], now)}


def test_without_a_file_only_what_needs_none_is_live() -> None:
    assert {"app.quit", "screen.start", "screen.history"} <= ids(IDLE)
    assert not ids(IDLE) & {"run.queue", "file.save", "find.open", "edit.undo", "run.stop"}


@pytest.mark.parametrize(
    ("now", "on", "off"),
    [
        (OPEN, {"run.queue", "run.here", "node.delete", "run.kill"}, {"run.stop", "edit.undo", "node.wire"}),
        (Situation(file=True, running=True), {"run.stop"}, {"run.here", "run.kill"}),
        (Situation(file=True, pane="params", number=True), {"edit.up", "edit.reset"}, {"node.delete", "move.left"}),
        (Situation(file=True, pane="params", link=True), {"node.wire"}, {"edit.up"}),
        (Situation(file=True, undo=True), {"edit.undo"}, {"edit.redo"}),
        (Situation(image=True), {"image.open"}, {"run.queue"}),
    ],
)
def test_the_situation_decides_what_is_live(now: Situation, on: set[str], off: set[str]) -> None:
    assert on <= ids(now)
    assert not off & ids(now)


def test_the_footer_shows_what_is_live_and_fits() -> None:
    actions = keytable.TABLES["main"]
    assert footer(actions, OPEN, 40) == [("f5", "Run"), ("v", "View"), ("⏎", "Edit"), ("s", "Seed"), ("c", "Compare")]
    running = footer(actions, Situation(file=True, running=True), 200)
    assert running[1] == ("x", "Stop")
    assert footer(actions, OPEN, 40, {"run.queue": "ctrl+enter"})[0] == ("^⏎", "Run")
    for columns in range(10, 120):
        pairs = footer(actions, OPEN, columns)
        assert len("  ".join(key + label for key, label in pairs)) <= columns


def test_no_key_does_two_things_at_once_and_every_fact_is_one() -> None:
    assert problems(keytable.TABLES, {}) == []
    for actions in keytable.TABLES.values():
        for action in actions:
            assert action.about
            assert all(need in FACTS or need.startswith("pane:") for need in action.needs)


def test_own_keys_that_clash_or_mean_nothing_are_told() -> None:
    assert problems(keytable.TABLES, {"run.queue": "v"}) == ["v on main would do both run.queue and view.cycle"]
    assert problems(keytable.TABLES, {"run.quee": "v"}) == ["no action is called 'run.quee'"]
    assert problems({"x": (Action("a.b", "k", "", "", ("pane:p",)), Action("a.c", "k", "", "", ("pane:q",)))}, {}) == []


@pytest.mark.parametrize(
    ("key", "text"), [("ctrl+p", "^p"), ("question_mark", "?"), ("shift+tab", "⇧tab"), ("f5", "f5"), ("X", "X")]
)
def test_keys_as_people_write_them(key: str, text: str) -> None:
    assert shown(key) == text


def test_settings_go_to_a_file_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tui.toml"
    assert config.load(path) == config.Config()
    mine = config.Config(theme="ansi", out='a "folder"\n', keys={"run.queue": "f6"})
    config.save(mine, path)
    assert config.load(path) == mine
    assert "device" not in path.read_text(), "what is usual is not written"
    assert mine.next("theme").theme == "weft-dark"
    assert set(config.CHOICES) == set(config.ABOUT)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("theme = 3", "theme must be"),
        ('theme = "pink"', "weft-light"),
        ("colour = 1", "colour is no setting"),
        ("[keys]\nx = 1", "keys.x must be text"),
        ("theme = ", "Invalid value"),
    ],
)
def test_a_wrong_setting_is_told_and_the_usual_one_counts(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "tui.toml"
    path.write_text(f'out = "mine"\n{text}')
    found = config.load(path)
    assert what in found.problems[0]
    assert found.theme == "weft-dark"
