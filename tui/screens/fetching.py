"""Fetching models: the hub is asked, what it says is agreed to, and how far it is stands below the list."""

from typing import Any

from rich.text import Text
from textual.widgets import Static

from engine.text import size
from tui import look
from tui.board import State
from tui.needs import Need
from tui.pulling import Puller
from tui.screens.lists import ListScreen
from tui.screens.modals import AskText, Confirm

FILES = 8
"""Files of an offer that are listed."""


class Fetching(ListScreen):
    """Part of the screen of models."""

    DEFAULT_CSS = """
    Fetching #pull { height: auto; background: $surface; padding: 0 1; display: none; }
    Fetching #pull.-told { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False

    @property
    def need(self) -> Need | None:
        """The selected one of what the workflow reads."""
        return None

    @property
    def puller(self) -> Puller:
        """What is being fetched."""
        return self.desk.puller

    def desk_changed(self, what: frozenset[str]) -> None:
        """How far it is; and once there is an offer, whether it is wanted."""
        puller = self.puller
        line = self.query_one("#pull", Static)
        line.set_class(bool(puller.told), "-told")
        role = "failed" if puller.status == "failed" else "running" if puller.busy else "dim"
        line.update(Text(look.safe(f"{State.MISSING.glyph} {puller.told}", 500), look.style(self.app, role)))
        if puller.status != "offered":
            self._asked = False
        elif not self._asked and self.app.screen is self:
            self._asked = True
            self._confirm()
        super().desk_changed(what)

    def _confirm(self) -> None:
        offer = self.puller.offer
        files = [f"{size(file['size']):>10}  {look.safe(file['name'], 58)}" for file in offer["files"]]
        more = [f"and {len(files) - FILES} more"] if len(files) > FILES else []
        said = [look.safe(self.puller.told, 400), f"at {look.safe(offer['commit'])}", *files[:FILES], *more]

        def take(got: str | None) -> None:
            if got == "f":
                self.puller.agree()
            else:
                self.action_model_stop()

        self.app.push_screen(Confirm("Fetch", "\n".join(said), [("f", "fetch it")]), take)

    def action_model_fetch(self) -> None:
        """Ask the hub for what is selected and missing, or for what a person names."""
        need = self.need
        if self.puller.busy:
            self.weft.say(f"{self.puller.source} comes first; x stops it", "warning")
        elif need is not None and need.problem is not None and need.command and not need.pull:
            self.weft.say(f"weft does not fetch it: {need.command}", "warning")
        elif need is not None and need.pull:
            self.puller.ask(need.pull)
        else:
            hint = "OWNER/NAME as on the hub; behind it names of files, --revision NAME, --variant NAME, --small"
            self.app.push_screen(AskText("Fetch from the hub", "", hint), self._ask)

    def _ask(self, text: str | None) -> None:
        if words := (text or "").split():
            self.puller.ask(words)

    def action_model_stop(self) -> None:
        """Stop fetching."""
        self.run_worker(self.puller.stop(), exit_on_error=False)

    def facts(self) -> dict[str, Any]:
        """Whether what is selected can be fetched."""
        need = self.need
        return {**super().facts(), "missing": need is not None and bool(need.pull)}
