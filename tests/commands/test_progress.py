"""What a person sees of a run: events in, lines out."""

import pytest

from commands import progress
from engine.errors import Problem
from engine.events import (
    NodeCached,
    NodeFailed,
    NodeFinished,
    NodeProgress,
    NodeSkipped,
    NodeStarted,
    RunFinished,
    RunStarted,
    Warned,
)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def finished(node, seconds, variant=0, text="", files=()):
    return NodeFinished(node, variant, "Steps", "key", seconds, 0, {}, files, text)


def shown(capsys, *events):
    """The lines of standard error for events, each with the seconds that pass before it."""
    clock = Clock()
    lines = progress.Lines(clock)
    for wait, event in events:
        clock.now += wait
        lines(event)
    return capsys.readouterr().err.splitlines()


def test_a_slow_node_gets_a_line_now_and_then(capsys):
    steps = [(1.0, NodeProgress("n", 0, i, 100, "loss 0.5")) for i in range(1, 41)]
    lines = shown(capsys, (0, RunStarted("Digits", 1, 2, 3)), (0, NodeStarted("n", 0, "Steps", "k")), *steps,
                  (0, finished("n", 40.0)), (0, RunFinished("done", 40.2, 2, 3, 0, 0)))  # fmt: skip
    assert lines == [
        "Digits: 2 of 5 nodes will run",
        "▶ n Steps running 1/100, 1.0 it/s, ≈ 99 s left, loss 0.5",
        "▶ n Steps running 31/100, 1.0 it/s, 69 s left, loss 0.5",
        "✓ n Steps done 40 s",
        "✓ done: 2 ran, 3 cached, 40 s",
    ]


def test_quick_nodes_are_counted_and_not_named(capsys):
    start = RunStarted("q", 1, 1, 0)
    assert shown(capsys, (0, start), (0, NodeStarted("n", 0, "Steps", "k")), (0, finished("n", 0.2))) == [
        "q: 1 of 1 node will run"
    ]


def test_failures_and_what_they_keep_from_running_are_named(capsys):
    lines = shown(
        capsys,
        (0, RunStarted("f", 3, 2, 0)),
        (0, NodeFailed("a", 1, "Fail", (Problem("E-RUN", "no"),))),
        (0, NodeSkipped("b", 1, "Say", "a")),
        (0, NodeSkipped("c", 1, "Say", "")),
        (0, RunFinished("failed", 0.1, 0, 0, 1, 2)),
    )
    assert lines == [
        "f: 2 of 2 nodes will run, 3 variants",
        "✗ a [2/3] Fail failed",
        "⊘ b [2/3] Say skipped: a",
        "⊘ c [2/3] Say skipped",
        "✗ failed: 0 ran, 0 cached, 1 failed, 2 skipped, 0.1 s",
    ]


def test_of_a_run_that_was_stopped_only_the_node_that_ran_is_named(capsys):
    lines = shown(
        capsys,
        (0, RunStarted("f", 1, 2, 0)),
        (0, NodeStarted("a", 0, "Steps", "k")),
        (0, NodeSkipped("a", 0, "Steps", "cancelled")),
        (0, NodeSkipped("b", 0, "Say", "cancelled")),
        (0, RunFinished("cancelled", 3.0, 0, 0, 0, 2)),
    )
    assert lines[1:] == ["⊘ a Steps cancelled", "⊘ cancelled: 0 ran, 0 cached, 2 skipped, 3.0 s"]


def test_text_from_nodes_cannot_act_on_the_terminal(capsys):
    text = "\x1b[2Jgone\u202e"
    end = finished("n", 0.1, text=text, files=({"path": "x"},))
    steps = [(2, NodeProgress("n", 0, step, 2, text)) for step in (1, 2)]
    lines = shown(capsys, (0, RunStarted(text, 1, 1, 0)), *steps, (0, end))
    assert lines
    assert all("\x1b" not in line and "\u202e" not in line and "⟨U+001B⟩" in line for line in lines)


def test_warnings_are_shown_at_once_even_when_quiet(capsys):
    progress.Quiet()(Warned(Problem("W-SEED", "drew a = 1", "give it")))
    progress.Quiet()(RunFinished("done", 1, 1, 0, 0, 0))
    assert capsys.readouterr().err == "W-SEED: drew a = 1; give it\n"


def test_cached_nodes_are_shown_on_a_terminal_unless_there_are_many(monkeypatch):
    for count, expected in ((3, ["≡ n Steps cached"]), (1000, [])):
        live = progress.Live()
        said = []
        monkeypatch.setattr(live, "line", lambda text, style="", said=said: said.append(text))
        live(RunStarted("x", 1, 0, count))
        live(NodeCached("n", 0, "Steps", "k"))
        assert said[1:] == expected


def test_the_moving_line_shows_what_runs_and_that_it_will_stop():
    clock = Clock()
    live = progress.Live()
    live._clock = clock
    live(NodeStarted("n", 0, "Steps", "k"))
    assert live.moving().plain == "▶ n Steps running"
    for step in range(1, 7):
        clock.now += 0.5
        live(NodeProgress("n", 0, step, 12, "loss 0.1"))
    assert live.moving().plain == "▶ n Steps ━━━━━━━━━━━━╌╌╌╌╌╌╌╌╌╌╌╌  6/12  2.0 it/s, 3.0 s left  loss 0.1"
    live.stopping()
    assert live.moving().plain.endswith("\nstopping after this step; again to stop at once")
    live(finished("n", 3.0))
    assert live.moving().plain == "stopping after this step; again to stop at once"


@pytest.mark.parametrize(
    ("status", "text"),
    [("done", "✓ done: 1 ran, 0 cached, 2.0 s"), ("failed", "✗ failed: 1 ran, 0 cached, 2.0 s"),
     ("cancelled", "⊘ cancelled: 1 ran, 0 cached, 2.0 s")],
)  # fmt: skip
def test_the_last_line_has_a_glyph_and_a_word(status, text):
    assert progress.summary(RunFinished(status, 2.0, 1, 0, 0, 0)) == text
