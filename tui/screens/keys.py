"""The keys: everything that can be done on the screen one came from, with the keys that do it now; others for it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from rich.text import Text

from engine.errors import WeftError
from tui import keys, look
from tui.keytable import TABLES
from tui.screens.lists import ListScreen
from tui.screens.modals import AskKey


class KeysScreen(ListScreen):
    """See the module. of: the name of the screen."""

    NAME = "keys"

    def __init__(self, of: str = "main") -> None:
        super().__init__()
        self._of = of

    @property
    def HEAD(self) -> str:  # type: ignore[override]
        """What the header says."""
        return f"Keys · {self._of}"

    def entries(self) -> Sequence[tuple[str, Text]]:
        """An action a row, by area."""
        app, keymap = self.app, self.weft.keymap_shown
        rows: list[tuple[str, Text]] = []
        area = ""
        for action in sorted(TABLES[self._of], key=lambda a: a.id.partition(".")[0]):
            if not self.weft.of_screen(self._of, action):
                continue
            now = action.id.partition(".")[0]
            if now != area:
                area = now
                rows.append(("", Text(area, look.style(app, "dim"))))
            own = "own" if action.id in keymap else ""
            line = Text.assemble(
                (f"  {self._keys(action.id):<16}", look.style(app, "accent", bold=True)),
                (f"{action.about:<64}", look.style(app, "text")),
                (f"{action.id:<18}{own}", look.style(app, "faint")),
                no_wrap=True,
            )
            rows.append((action.id, line))
        return rows

    def _keys(self, name: str) -> str:
        """The keys of an action as people write them."""
        return "  ".join(keys.shown(key) for key in self._now(name).split(",") if key)

    def _now(self, name: str) -> str:
        usual = next(action.keys for action in TABLES[self._of] if action.id == name)
        return self.weft.keymap_shown.get(name, usual)

    def action_keys_change(self) -> None:
        """Ask for the key that does it from now on, alone."""
        name = self.chosen
        self.app.push_screen(AskKey(f"What does {name}?"), lambda key: self._set(name, key) if key else None)

    def action_keys_add(self) -> None:
        """Ask for one more key that does it."""
        name = self.chosen
        both = list(filter(None, self._now(name).split(",")))

        def take(key: str | None) -> None:
            if key:
                self._set(name, ",".join([*both, *([key] if key not in both else [])]))

        self.app.push_screen(AskKey(f"What also does {name}?"), take)

    def action_keys_usual(self) -> None:
        """Back to the usual keys."""
        self._take({name: own for name, own in self.weft.config.keys.items() if name != self.chosen})

    def _set(self, name: str, own: str) -> None:
        self._take({**self.weft.config.keys, name: own})

    def _take(self, own: Mapping[str, str]) -> None:
        """Take these keys, unless one of them would then do two things at once."""
        if wrong := keys.problems(TABLES, own):
            self.weft.say(wrong[0], "warning")
            return
        try:
            self.weft.configure(replace(self.weft.config, keys=own))
        except (WeftError, OSError) as why:
            self.weft.tell_error(why)
        self.fill()

    def on_option_list_option_selected(self) -> None:
        """The one that was clicked."""
        self.action_keys_change()
