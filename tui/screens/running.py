"""What the keys of the main screen do about running: queue, stop, kill, seeds."""

from typing import Any

from engine.errors import WeftError
from tui.screens.editing import Editing
from tui.seeds import MODES, draw, seeds_of

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

    def action_seed_random(self) -> None:
        """Draw a new seed: for the selected row if it is one, else for the first."""
        session = self.desk.session
        seeds = seeds_of(session) if session is not None else []
        field = self.params.field
        chosen = next((s for s in seeds if field is not None and s.key == (field.param or field.key)), None)
        chosen = chosen or next(iter(seeds), None)
        if chosen is not None:
            self.put(chosen, draw())

    def action_seed_mode(self) -> None:
        """What becomes of seeds at each run."""
        desk = self.desk
        desk.seed_mode = MODES[(MODES.index(desk.seed_mode) + 1) % len(MODES)]
        told = {"fixed": "stay as they are", "increment": "count up", "random": "are drawn anew"}[desk.seed_mode]
        self.weft.say(f"seeds {told} at each run")
        desk.edited()
