"""What a node sees of the engine."""

import sys
import threading
import time

import pytest

from engine.context import CancelToken, Context
from engine.errors import Cancelled


def test_progress_costs_less_than_20_microseconds_a_step():
    from engine.outcome import Recorder

    events = []
    ctx = Context("n", emit=Recorder(events.append).send)
    best = min(_seconds(lambda: [ctx.progress(i, 1000) for i in range(1000)]) for _ in range(5))
    assert len(events) == 5000
    assert best / 1000 < 20e-6


def _seconds(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def test_progress_raises_once_the_run_is_to_stop():
    ctx = Context("n")
    ctx.progress(1, 2)
    ctx.token.cancel()
    with pytest.raises(Cancelled):
        ctx.progress(2, 2)


def test_a_second_signal_in_the_middle_of_cancelling_does_not_wait_for_the_first():
    token, lines = CancelToken(), []

    def signal_at_every_line(frame, event, _):
        if event == "line":
            lines.append(frame.f_lineno)
            sys.settrace(None)
            token.cancel()
            sys.settrace(signal_at_every_line)
        return signal_at_every_line

    def work():
        sys.settrace(signal_at_every_line)
        token.cancel()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(5)
    assert lines
    assert not thread.is_alive()
    assert token.cancelled


def test_previews_are_wanted_no_more_often_than_asked(monkeypatch):
    from engine import context

    now = [0.0]
    monkeypatch.setattr(context.time, "monotonic", lambda: now[0])
    ctx = Context(settings=context.Settings(previews_per_second=2))
    wanted = []
    for _ in range(20):
        wanted.append(ctx.wants_preview())
        now[0] += 0.1
    assert sum(wanted) == 4
    assert not Context().wants_preview()


def test_a_context_of_its_own_has_one_scratch_folder():
    ctx = Context()
    (ctx.scratch / "a").write_text("1")
    assert [p.name for p in ctx.scratch.iterdir()] == ["a"]
