"""Every action of the key tables is done by something, and every screen of the table is one."""

import importlib

import pytest

from tui.app import WeftApp
from tui.keytable import TABLES
from tui.screens import SCREENS
from tui.screens.base import WeftScreen


@pytest.mark.parametrize("name", SCREENS)
def test_every_key_of_a_screen_does_something(name: str) -> None:
    module, cls = SCREENS[name]
    screen = getattr(importlib.import_module(module), cls)
    assert issubclass(screen, WeftScreen)
    assert name == screen.NAME
    for action in TABLES[name]:
        area, _, verb = action.id.partition(".")
        if area == "screen" and verb != "back":
            assert verb in SCREENS, action.id
        else:
            method = f"action_{action.method}"
            assert hasattr(screen, method) or hasattr(WeftApp, method), action.id


def test_every_table_belongs_to_a_screen() -> None:
    assert TABLES.keys() == SCREENS.keys()


@pytest.mark.parametrize("name", TABLES)
def test_an_id_is_there_once(name: str) -> None:
    ids = [action.id for action in TABLES[name]]
    assert len(ids) == len(set(ids))
