"""What the keys of the main screen do about running: queue, stop, kill, seeds."""

from typing import Any

from engine.errors import Problem, WeftError, error
from tui.fields import Field
from tui.screens.editing import Editing
from tui.screens.modals import AskText, ask_value
from tui.seeds import MODES, draw, seeds_of

MOST = 100
"""Runs that are queued at once."""
STUBBORN = 5.0
"""Seconds after which a run that was asked to stop may be killed with advice to do so."""


class Running(Editing):
    """Part of the main screen."""

    def action_run_queue(self) -> None:
        """Queue a run."""
        self._queue()

    def action_run_here(self) -> None:
        """Queue a run of what the selected node needs."""
        self._queue(targets=[self.graph.selected])

    def _queue(self, **how: Any) -> None:
        desk = self.desk
        try:
            desk.run(**how)
        except WeftError as why:
            self.weft.tell_error(why)
            first = why.problems[0].place.node
            if desk.session is not None and first in desk.session.nodes:
                self.graph.select(first)
                self.selected()

    def action_run_stop(self) -> None:
        """Stop within a step."""
        run = self.desk.current
        self.desk.stop()
        self.set_timer(STUBBORN, lambda: self._still_there(run))

    def _still_there(self, run: object) -> None:
        if run is not None and self.desk.current is run:
            self.weft.say("it has not stopped yet: some work cannot be interrupted; X kills the engine", "warning")

    def action_run_kill(self) -> None:
        """Kill the engine."""
        self.run_worker(self.desk.kill(), exit_on_error=False)

    def action_run_free(self) -> None:
        """Let go of models."""
        self.desk.free()
        self.weft.say("the engine lets go of its models")

    def action_model_fetch(self) -> None:
        """Fetch what the selected node lacks."""
        self.weft.show_screen("models", node=self.graph.selected, fetch=True)

    def action_model_missing(self) -> None:
        """The models, the first one that is missing selected."""
        self.weft.show_screen("models", missing=True)

    def action_run_times(self) -> None:
        """Ask how many, and queue them."""

        def check(text: str) -> None:
            if not (text.isdigit() and 1 <= int(text) <= MOST):
                raise error(Problem("E-CLI", f"{text or 'nothing'}: expected a number from 1 to {MOST}"))

        def take(text: str | None) -> None:
            session = self.desk.session
            for _ in range(int(text) if text else 0):
                first = next(iter(seeds_of(session)), None) if session is not None else None
                if first is not None and self.desk.seed_mode == "fixed":
                    self.put(first, draw())
                self._queue()

        self.app.push_screen(AskText("Queue how many runs", "4", "each with other seeds", check), take)

    def action_seed_set(self) -> None:
        """Type a seed."""
        chosen = self._seed()
        if chosen is not None:
            self.app.push_screen(ask_value(chosen), lambda got: self.typed(chosen, got))

    def _seed(self) -> Field | None:
        """The seed that is meant: the selected row if it is one, else the first."""
        session = self.desk.session
        seeds = seeds_of(session) if session is not None else []
        field = self.params.field
        chosen = next((s for s in seeds if field is not None and s.key == (field.param or field.key)), None)
        return chosen or next(iter(seeds), None)

    def action_seed_random(self) -> None:
        """Draw a new seed: for the selected row if it is one, else for the first."""
        chosen = self._seed()
        if chosen is not None:
            self.put(chosen, draw())

    def action_seed_mode(self) -> None:
        """What becomes of seeds at each run."""
        desk = self.desk
        desk.seed_mode = MODES[(MODES.index(desk.seed_mode) + 1) % len(MODES)]
        told = {"fixed": "stay as they are", "increment": "count up", "random": "are drawn anew"}[desk.seed_mode]
        self.weft.say(f"seeds {told} at each run")
        desk.edited()
