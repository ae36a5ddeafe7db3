"""The settings, and the file that they are in."""

from collections.abc import Sequence

from rich.text import Text

from engine.errors import WeftError
from tui import config, look
from tui.screens.lists import ListScreen


class SettingsScreen(ListScreen):
    """See the module."""

    NAME = "settings"
    HEAD = "Settings"
    SHOWS = frozenset({"session", "settings"})

    def entries(self) -> Sequence[tuple[str, Text]]:
        """A setting a row."""
        app, now = self.app, self.weft.config
        dim = look.style(app, "dim")
        rows: list[tuple[str, Text]] = []
        for name, about in config.ABOUT.items():
            value = getattr(now, name)
            line = Text.assemble(
                (f"  {name:<14}", look.style(app, "text")),
                (f"{value:<14}", look.style(app, "accent")),
                (about, dim),
                no_wrap=True,
            )
            rows.append((name, line))
        rows += [
            ("", Text()),
            ("", Text(f"  in {look.safe(config.config_path())}; ? on any screen changes its keys", dim)),
        ]
        rows += [("", Text(f"  ⚠ {look.safe(what)}", look.style(app, "failed"))) for what in self.weft.config_problems]
        return rows

    def action_settings_change(self) -> None:
        """The next value of the selected setting."""
        name = self.chosen
        if not name:
            return
        try:
            self.weft.configure(self.weft.config.next(name))
        except (WeftError, OSError) as why:
            self.weft.tell_error(why)
        self.fill()

    def on_option_list_option_selected(self) -> None:
        """The one that was clicked."""
        self.action_settings_change()
