"""How fast a node goes and how long it will take, told by a clock that the test moves."""

import pytest

from commands.pace import Flow, Pace


def paced(times, total=10):
    """A pace after steps that took these seconds each."""
    pace, now = Pace(100.0), 100.0
    for step, taken in enumerate(times, 1):
        now += taken
        pace.tick(now, step, total)
    return pace, now


@pytest.mark.parametrize(
    ("times", "text"),
    [
        ([], ""),
        ([0.5], "2.0 it/s, ≈ 4.5 s left"),
        ([0.5, 0.5], "2.0 it/s, ≈ 4.0 s left"),
        ([0.5, 0.5, 0.5], "2.0 it/s, 3.5 s left"),
        ([0.5, 9.0, 0.5], "2.0 it/s, 3.5 s left"),
        ([4.0, 4.0, 4.0], "4.0 s/it, 28 s left"),
        ([60.0] * 4, "60 s/it, 6:00 left"),
        ([0.1] * 10, "10.0 it/s"),
    ],
)
def test_the_median_step_tells_pace_and_time_left(times, text):
    pace, now = paced(times)
    assert pace.text(now) == text


def test_only_the_last_eight_steps_count():
    pace, now = paced([5.0] * 20 + [0.1] * 8, total=100)
    assert pace.text(now) == "10.0 it/s, 7.2 s left"


def test_time_left_shrinks_between_two_steps_and_stops_at_nothing():
    pace, now = paced([1.0] * 5)
    assert [pace.left(now + later) for later in (0, 2, 5, 60)] == [5, 3, 0, 0]


def test_steps_that_are_not_told_count():
    pace = Pace(0.0)
    pace.tick(10.0, 1, 1000)
    pace.tick(20.0, 101, 1000)
    pace.tick(30.0, 201, 1000)
    assert (pace.rate, pace.left(30.0)) == (10.0, 79.9)


def test_a_node_that_goes_on_from_an_earlier_run_has_no_pace_at_first():
    pace = Pace(0.0)
    pace.tick(10.0, 100, 1000)
    assert pace.text(10.0) == ""
    pace.tick(12.0, 101, 1000)
    assert pace.text(12.0).startswith("2.0 s/it, ≈ ")


def test_bytes_are_told_with_pace_and_time_left():
    flow = Flow(100 << 20)
    assert str(flow) == "  0 %  0 B of 100.0 MiB"
    flow.tick(0.0, 20 << 20)  # what was here before says nothing of the pace
    assert str(flow) == " 20 %  20.0 MiB of 100.0 MiB"
    flow.tick(1.0, 40 << 20)
    assert str(flow) == " 40 %  40.0 MiB of 100.0 MiB  20.0 MiB/s, 3.0 s left"
    for second in range(2, 22):
        flow.tick(float(second), (40 << 20) + (second << 20))
    assert str(flow) == " 61 %  61.0 MiB of 100.0 MiB  1.0 MiB/s, 39 s left"
    flow.tick(22.0, 100 << 20)
    assert str(flow) == "100 %  100.0 MiB of 100.0 MiB"
    assert str(Flow(0)) == "100 %  0 B of 0 B"
