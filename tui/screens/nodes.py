"""The library of nodes: each with its formula, inputs and outputs; the selected one can be added to the workflow."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.text import Text
from textual import work
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from commands.nodes import explain
from engine.graph import Link
from engine.node import Node
from engine.spec import REQUIRED
from tui import look
from tui.fields import fitting
from tui.screens.lists import ListScreen, Rows
from tui.screens.modals import AskText, Choose


class NodesScreen(ListScreen):
    """See the module."""

    NAME = "nodes"
    HEAD = "Nodes"
    SHOWS = frozenset({"session", "nodes"})
    DEFAULT_CSS = """
    NodesScreen Rows { width: 30; }
    NodesScreen VerticalScroll { width: 1fr; padding: 0 2; background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, type[Node]] = {}
        self._words = ""

    def body(self) -> Iterable[Widget]:
        """The types on the left, what the selected one is on the right."""
        yield Horizontal(Rows(compact=True), VerticalScroll(Static(id="about")))

    def on_mount(self) -> None:
        """Import all nodes, which takes a moment."""
        self._gather()

    @work(thread=True, exclusive=True, group="nodes", exit_on_error=False)
    def _gather(self) -> None:
        classes = {cls.__name__: cls for cls in self.desk.registry().classes() if not cls.hidden}
        self.app.call_from_thread(self._show, classes)

    def _show(self, classes: dict[str, type[Node]]) -> None:
        self._kinds = classes
        self.desk_changed(frozenset({"nodes"}))

    def entries(self) -> Sequence[tuple[str, Text]]:
        """The types by module, those whose name or description has all the words that were asked for."""
        app, wanted = self.app, self._words.lower().split()
        rows: list[tuple[str, Text]] = []
        module = ""
        for name, cls in sorted(self._kinds.items(), key=lambda item: (item[1].__module__, item[0])):
            if all(word in f"{name} {cls.__doc__}".lower() for word in wanted):
                if cls.__module__ != module:
                    module = cls.__module__
                    rows.append(("", Text(look.safe(module.removeprefix("nodes.")), look.style(app, "dim"))))
                rows.append((name, Text(f"  {look.safe(name)}", look.style(app, "text"))))
        if self._words:
            rows.insert(0, ("", Text(f"found: {look.safe(self._words)}", look.style(app, "accent"))))
        return rows

    def refresh_keys(self) -> None:
        """With another row goes another description."""
        super().refresh_keys()
        cls = self._kinds.get(self.chosen)
        text = explain(cls) if cls is not None else "" if self._kinds else "reading…"
        lines = [look.safe(line, 2000) for line in text.splitlines()]
        for about in self.query("#about").results(Static):
            about.update(Text("\n".join(lines), look.style(self.app, "text")))

    def action_nodes_find(self) -> None:
        """Ask for words."""

        def take(words: str | None) -> None:
            if words is not None:
                self._words = words
                self.fill()

        self.app.push_screen(AskText("Find a node", self._words, "words of its name or description"), take)

    def on_option_list_option_selected(self) -> None:
        """The one that was clicked."""
        if self.desk.session is not None:
            self.action_nodes_add()

    def action_nodes_add(self) -> None:
        """Add the selected one; where several outputs fit a required input, ask which."""
        cls, session = self._kinds.get(self.chosen), self.desk.session
        if cls is None or session is None:
            return
        inputs: dict[str, Any] = {}
        open_: list[tuple[str, list[Link]]] = []
        for name, spec in cls.inputs.items():
            if spec.default is not REQUIRED or (spec.literal and not spec.free):
                continue
            links = fitting(session, spec)
            if len(links) == 1:
                inputs[name] = [_mark(links[0])] if spec.many else _mark(links[0])
            elif links:
                open_.append((name, links))
        self._ask(cls, inputs, open_)

    def _ask(self, cls: type[Node], inputs: dict[str, Any], rest: list[tuple[str, list[Link]]]) -> None:
        if not rest:
            self._add(cls, inputs)
            return
        (name, links), *others = rest
        types = self.desk.board.types
        options = [(str(i), _mark(link)[1:], types.get(link.node, "")) for i, link in enumerate(links)]

        def take(got: str | None) -> None:
            if got is not None:
                mark = _mark(links[int(got)])
                inputs[name] = [mark] if cls.inputs[name].many else mark
            self._ask(cls, inputs, others)

        window = Choose(f"What feeds {name} of {cls.__name__}? (esc: nothing yet)", options)
        self.app.push_screen(window, take)

    def _add(self, cls: type[Node], inputs: dict[str, Any]) -> None:
        session = self.desk.session
        assert session is not None
        name = session.add_node(cls.__name__, inputs)
        self.desk.edited()
        self.weft.show_screen("main")
        self.weft.go_to(name)
        self.weft.say(f"added {name}; u takes it back")


def _mark(link: Link) -> str:
    return f"@{link.node}.{link.output}" if link.output else f"@{link.node}"
