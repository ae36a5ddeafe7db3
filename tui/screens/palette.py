"""The palette: everything that can be done now, by name, with the key that does it."""

from typing import TYPE_CHECKING

from tui import keys
from tui.screens.base import WeftScreen
from tui.screens.modals import Choose

if TYPE_CHECKING:
    from tui.app import WeftApp


def open_palette(app: "WeftApp", screen: WeftScreen) -> None:
    """Ask for one of the live actions of a screen, and do it."""
    actions = {action.id: action for action in screen.live_actions()}
    options = []
    for name, action in sorted(actions.items()):
        done_by = app.keymap_shown.get(name, action.keys).split(",")[0]
        area, _, verb = name.partition(".")
        key = f"  {keys.shown(done_by)}" if done_by else ""
        options.append((name, f"{area}: {verb.replace('_', ' ')}", action.about + key))

    def take(name: str | None) -> None:
        if name is not None:
            app.run_worker(screen.run_action(actions[name].call), exit_on_error=False)

    app.push_screen(Choose("Palette", options), take)
