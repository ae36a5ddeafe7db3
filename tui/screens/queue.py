"""The queue: the run that goes on, those that wait, and those that are over."""

from collections.abc import Sequence

from rich.text import Text

from engine.text import seconds
from tui import look
from tui.queue import Order
from tui.screens.lists import ListScreen


class QueueScreen(ListScreen):
    """See the module."""

    NAME = "queue"
    HEAD = "Queue"
    SHOWS = frozenset({"queue", "run"})

    def entries(self) -> Sequence[tuple[str, Text]]:
        """The runs, newest at the end of each part."""
        app, queue = self.app, self.desk.queue
        dim = look.style(app, "dim")
        rows: list[tuple[str, Text]] = []
        over = [run for run in self.desk.runs.values() if queue.current is None or run.id != queue.current.id]
        for run in over[-10:]:
            role = run.status if run.status in ("done", "failed", "cancelled") else "failed"
            glyph = {"done": "✓", "cancelled": "⊘"}.get(run.status, "✗")
            text = _line(self.desk.orders[run.id], glyph, f"{run.status} {seconds(run.seconds)}")
            text.stylize(look.style(app, role), 0, 1)
            rows.append(("", text))
        if queue.current is not None:
            left = self.desk.left()
            text = _line(queue.current, "▶", f"running{f', {left} left' if left is not None else ''}")
            text.stylize(look.style(app, "running"), 0, 1)
            rows.append(("", text))
        if queue.paused:
            rows.append(("", Text("  paused: space goes on", look.style(app, "stale"))))
        rows += [(order.id, _line(order, "·", f"waits, {n} before it" if n else "next"))
                 for n, order in enumerate(queue.waiting)]  # fmt: skip
        return rows or [("", Text("nothing has run yet, and nothing waits; F5 on the graph queues a run", dim))]

    def action_queue_earlier(self) -> None:
        """Move the run up."""
        self._changed(self.desk.queue.move(self.chosen, -1))

    def action_queue_later(self) -> None:
        """Move the run down."""
        self._changed(self.desk.queue.move(self.chosen, 1))

    def action_queue_remove(self) -> None:
        """Take it out."""
        self._changed(self.desk.queue.remove(self.chosen))

    def action_queue_clear(self) -> None:
        """Take all out."""
        count = self.desk.queue.clear()
        self.weft.say(f"{count} taken out")
        self._changed(count > 0)

    def action_queue_pause(self) -> None:
        """Begin nothing new, or go on."""
        if self.desk.queue.paused:
            self.desk.go_on()
        else:
            self.desk.queue.paused = True
        self._changed(True)

    def action_run_stop(self) -> None:
        """Stop the run that goes on."""
        self.desk.stop()

    def _changed(self, changed: bool) -> None:
        if changed:
            self.weft.desk_changed(frozenset({"queue"}))


def _line(order: Order, glyph: str, state: str) -> Text:
    about = f"  {order.about}" if order.about else ""
    return Text(f"{glyph} {look.safe(order.name, 40):<32} {state:<24}{look.safe(about)}", no_wrap=True)
