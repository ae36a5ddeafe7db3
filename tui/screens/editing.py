"""What the keys of the main screen do about the workflow: values, nodes, links, undo."""

from collections.abc import Callable
from typing import Any

from engine.errors import WeftError
from engine.graph import Link, reference
from engine.jsonedit import remove_value
from engine.spec import REQUIRED, Bad
from tui.fields import Field, nudged, sources_for
from tui.screens.modals import Choose, ask_value
from tui.screens.panes import Panes


class Editing(Panes):
    """Part of the main screen."""

    def put(self, field: Field, value: Any) -> None:
        """Give a field a value, in the file: its param's, if one feeds it."""
        session = self.desk.session
        assert session is not None
        param = field.param or ("" if field.node else field.name)
        if param:
            self.edit(lambda: session.set_param(param, value))
        else:
            self.edit(lambda: session.set_input(field.node, field.name, value))

    def edit(self, change: Callable[[], object]) -> None:
        """Make a change of the session, and say what prevents it."""
        try:
            change()
        except (WeftError, KeyError) as why:
            self.weft.tell_error(why)
        self.desk.edited()

    def action_edit_value(self) -> None:
        """Edit the selected value; of a link, go to where it comes from; from the graph, go to the values."""
        if self.pane != "params":
            self.action_pane_params()
            return
        field = self.params.field
        if field is None:
            return
        if field.links:
            self.graph.select(field.links[0].node)
            self.selected()
        elif field.kind == "link":
            self.action_node_wire()
        elif field.kind == "flag":
            self.put(field, not field.value)
        elif field.kind == "choice" and field.spec is not None:
            options = [(choice, choice, "") for choice in field.spec.choices]
            window = Choose(f"{field.key}  {field.about}", options, str(field.value))
            self.app.push_screen(window, lambda got: self.put(field, got) if got is not None else None)
        elif field.spec is not None:
            self.app.push_screen(ask_value(field), lambda got: self.typed(field, got))

    def typed(self, field: Field, text: str | None) -> None:
        """Take what was typed for a field, if anything was."""
        if text is not None:
            self.put(field, field.read(text))

    def _nudge(self, steps: int) -> None:
        field = self.params.field
        if field is not None:
            try:
                self.put(field, nudged(field, steps))
            except Bad as bad:
                self.weft.say(str(bad.problem.what), "warning")

    def action_edit_up(self) -> None:
        """Nudge up."""
        self._nudge(1)

    def action_edit_down(self) -> None:
        """Nudge down."""
        self._nudge(-1)

    def action_edit_toggle(self) -> None:
        """The next choice, or the other of yes and no."""
        self._nudge(1)

    def action_edit_reset(self) -> None:
        """Back to the default."""
        session, field = self.desk.session, self.params.field
        if session is not None and field is not None and field.node:
            self.edit(lambda: session.reset_input(field.node, field.name))

    def action_edit_reset_all(self) -> None:
        """All values of the node back to their defaults; links stay."""
        session, node = self.desk.session, self.graph.selected
        if session is None or (cls := session.cls(node)) is None:
            return
        raw = session.nodes[node]
        text = session.text
        for name in raw:
            spec = cls.inputs.get(name)
            if spec is not None and spec.default is not REQUIRED and not isinstance(reference(raw[name]), Link):
                text = remove_value(text, ("nodes", node, name))
        self.edit(lambda: session.change(text, f"reset {node}"))

    def action_edit_undo(self) -> None:
        """Take the last change back."""
        session = self.desk.session
        if session is not None and (label := session.undo()) is not None:
            self.weft.say(f"undone: {label}")
            self.desk.edited()

    def action_edit_redo(self) -> None:
        """Make it again."""
        session = self.desk.session
        if session is not None and (label := session.redo()) is not None:
            self.weft.say(f"redone: {label}")
            self.desk.edited()

    def action_node_add(self) -> None:
        """Choose one in the library."""
        self.weft.show_screen("nodes")

    def action_node_bypass(self) -> None:
        """Bypass the node, or no longer."""
        session = self.desk.session
        if session is not None:
            now = session.toggle_bypass(self.graph.selected)
            self.weft.say(f"{self.graph.selected} is {'bypassed: it hands on what it got' if now else 'used again'}")
            self.desk.edited()

    def action_node_mute(self) -> None:
        """Mute the node, or no longer."""
        session = self.desk.session
        if session is not None:
            now = session.toggle_mute(self.graph.selected)
            self.weft.say(f"{self.graph.selected} {'and what needs it do not run' if now else 'is used again'}")
            self.desk.edited()

    def action_node_delete(self) -> None:
        """Delete the node."""
        session, node = self.desk.session, self.graph.selected
        if session is not None and node in session.nodes:
            order = list(self.graph.order)
            at = order.index(node)
            self.edit(lambda: session.remove_node(node))
            rest = [name for name in order if name != node]
            if rest:
                self.graph.select(rest[min(at, len(rest) - 1)])
            self.selected()
            self.weft.say(f"deleted {node}; u brings it back")

    def action_node_wire(self) -> None:
        """Choose what feeds the selected input."""
        session, field = self.desk.session, self.params.field
        if session is None or field is None or not field.node:
            return
        links = sources_for(session, field.node, field.name)
        options = [
            (str(index), _named(link), self.desk.board.types.get(link.node, "")) for index, link in enumerate(links)
        ]
        if not options:
            kind = field.spec.type_name if field.spec is not None else "it"
            self.weft.say(f"no node here makes {kind}", "warning")
            return

        def take(got: str | None) -> None:
            if got is not None:
                link = links[int(got)]
                self.edit(lambda: session.link(field.node, field.name, link.node, link.output))

        self.app.push_screen(Choose(f"What feeds {field.key}", options), take)


def _named(link: Link) -> str:
    return f"{link.node}.{link.output}" if link.output else link.node
