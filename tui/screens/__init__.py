"""The screens: one module each, a subclass of `base.WeftScreen`, found by name in the table below.

A screen reads `self.app.desk`, is told by `desk_changed` what is new, and has its keys in `tui.keytable` under its
name; each action `area.verb` there is a method `action_area_verb` of the screen or of the app.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui.screens.base import WeftScreen

SCREENS: dict[str, tuple[str, str]] = {
    "main": ("tui.screens.main", "MainScreen"),
    "start": ("tui.screens.start", "StartScreen"),
    "image": ("tui.screens.image", "ImageScreen"),
    "queue": ("tui.screens.queue", "QueueScreen"),
    "compare": ("tui.screens.compare", "CompareScreen"),
    "history": ("tui.screens.past", "HistoryScreen"),
    "gallery": ("tui.screens.gallery", "GalleryScreen"),
    "replay": ("tui.screens.replay", "ReplayScreen"),
    "diff": ("tui.screens.differences", "DiffScreen"),
    "nodes": ("tui.screens.nodes", "NodesScreen"),
    "models": ("tui.screens.models", "ModelsScreen"),
    "log": ("tui.screens.log", "LogScreen"),
    "keys": ("tui.screens.keys", "KeysScreen"),
    "settings": ("tui.screens.settings", "SettingsScreen"),
}
"""name -> (module, class)."""


def make(name: str, **given: Any) -> "WeftScreen":
    """A new screen; its module is imported when it is first needed."""
    module, cls = SCREENS[name]
    found: WeftScreen = getattr(importlib.import_module(module), cls)(**given)
    return found
