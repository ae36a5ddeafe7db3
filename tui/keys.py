"""Which key does what, and when: a state machine that decides which actions are live, and what the footer shows.

An action is live on its screen while all that it `needs` holds. Keys are named as Textual names them; an id never
changes, so that a person's own keys (`[keys]` in the settings, id = "keys") stay right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides which actions are live."""

    pane: str = "graph"
    """On the main screen: graph, params or preview."""
    file: bool = False
    """A workflow is open."""
    node: bool = False
    """A node is selected."""
    field: bool = False
    """A row of the params pane is selected, and its value can be typed."""
    link: bool = False
    """The selected row is one that a link feeds, or could."""
    number: bool = False
    """Its value can be nudged."""
    seed: bool = False
    """The workflow has a seed."""
    running: bool = False
    """A run is going on."""
    engine: bool = False
    """There is an engine."""
    undo: bool = False
    redo: bool = False
    image: bool = False
    """There is a finished picture."""
    found: bool = False
    """Something was searched for."""
    missing: bool = False
    """The selected node, or model, is not here, and there is a way to get it."""
    trace: bool = False
    """The selected node has failed, and it is known where in the code."""
    fetching: bool = False
    """A model is being fetched."""
    items: bool = False
    """A list on this screen has a row selected."""


FACTS = frozenset(f.name for f in fields(Situation) if f.name != "pane")


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a key does.

    id: "area.verb". keys: separated by commas; none for what only the palette has. label: what the footer calls it;
    empty: never in the footer. about: one line for the list of keys and the palette. needs: names of facts of the
    situation; with "pane:NAME" among them, only in that pane.
    """

    id: str
    keys: str
    label: str
    about: str
    needs: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """The name of what Textual calls, action_METHOD; for "screen.NAME" the action is show('NAME')."""
        return self.id.replace(".", "_")

    @property
    def call(self) -> str:
        """The action as Textual reads it."""
        area, _, verb = self.id.partition(".")
        if area == "app":
            return f"app.{self.method}"
        return f"show('{verb}')" if area == "screen" and verb != "back" else self.method

    def live(self, now: Situation) -> bool:
        """Whether it can be done now."""
        return all(
            now.pane == need.removeprefix("pane:") if need.startswith("pane:") else bool(getattr(now, need))
            for need in self.needs
        )


def live(actions: Sequence[Action], now: Situation) -> list[Action]:
    """The actions that can be done now."""
    return [action for action in actions if action.live(now)]


def footer(
    actions: Sequence[Action], now: Situation, columns: int, keymap: Mapping[str, str] | None = None
) -> list[tuple[str, str]]:
    """The (key, label) pairs that fit into so many columns, two spaces between them, the most important first."""
    pairs: list[tuple[str, str]] = []
    used = 0
    for action in live(actions, now):
        keys = (keymap or {}).get(action.id, action.keys)
        if not action.label or not keys:
            continue
        key = shown(keys.split(",")[0])
        width = len(key) + len(action.label) + (2 if pairs else 0)
        if used + width > columns:
            break
        pairs.append((key, action.label))
        used += width
    return pairs


_NAMES = {
    "enter": "⏎", "escape": "esc", "slash": "/", "question_mark": "?", "minus": "-", "plus": "+", "full_stop": ".",
    "comma": ",", "space": "space", "up": "↑", "down": "↓", "left": "←", "right": "→", "delete": "del",
    "backspace": "⌫", "tab": "tab", "equals_sign": "=", "left_square_bracket": "[", "right_square_bracket": "]",
    "pageup": "pgup", "pagedown": "pgdn",
}  # fmt: skip


def shown(key: str) -> str:
    """A key as people write it: ^p, ⇧tab, ?, f5."""
    *held, last = key.strip().split("+") if key.strip() != "+" else ["plus"]
    name = _NAMES.get(last, last)
    marks = {"ctrl": "^", "shift": "⇧", "alt": "⌥"}
    return "".join(marks.get(h, f"{h}+") for h in held) + name


def problems(tables: Mapping[str, Sequence[Action]], keymap: Mapping[str, str]) -> list[str]:
    """What is wrong with a person's own keys: ids that are unknown, and keys that would do two things at once."""
    known = {action.id for actions in tables.values() for action in actions}
    found = [f"no action is called {name!r}" for name in keymap if name not in known]
    for screen, actions in tables.items():
        taken: dict[str, list[Action]] = {}
        for action in actions:
            for key in filter(None, keymap.get(action.id, action.keys).split(",")):
                taken.setdefault(key.strip(), []).append(action)
        for key, doers in taken.items():
            clash = next(((a, b) for i, a in enumerate(doers) for b in doers[i + 1 :] if not _apart(a, b)), None)
            if clash:
                found.append(f"{shown(key)} on {screen} would do both {clash[0].id} and {clash[1].id}")
    return found


def _apart(a: Action, b: Action) -> bool:
    """Whether two actions are never live at once: they belong to different panes."""
    panes = [{need for need in action.needs if need.startswith("pane:")} for action in (a, b)]
    return bool(panes[0]) and bool(panes[1]) and panes[0] != panes[1]
