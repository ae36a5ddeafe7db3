"""The keys: everything that can be done on the screen one came from, with the keys that do it now."""

from collections.abc import Sequence

from rich.text import Text

from tui import look
from tui.keys import shown
from tui.keytable import TABLES
from tui.screens.lists import ListScreen


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
            keys = "  ".join(shown(key) for key in keymap.get(action.id, action.keys).split(",") if key)
            line = Text.assemble(
                (f"  {keys:<16}", look.style(app, "accent", bold=True)),
                (f"{action.about:<64}", look.style(app, "text")),
                (action.id, look.style(app, "faint")),
                no_wrap=True,
            )
            rows.append((action.id, line))
        return rows
