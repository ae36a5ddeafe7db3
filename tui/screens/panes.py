"""The panes of the main screen: the graph, the values of the selected node, the preview, what was saved, what runs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import events, work
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from engine.graph import Link, reference
from tui import look
from tui.board import Run, State
from tui.needs import PULL
from tui.screens.base import WIDE, WeftScreen
from tui.seeds import seeds_of
from tui.session import Session
from tui.widgets.bars import RunBar
from tui.widgets.graph import DRAWINGS, GraphView
from tui.widgets.outputs import OutputsPane
from tui.widgets.params import ParamsPane
from tui.widgets.picture import PictureView, opened
from tui.widgets.splitter import Splitter

if TYPE_CHECKING:
    from PIL.Image import Image

PANES = ("graph", "params", "preview", "outputs")


class Panes(WeftScreen):
    """Shows what the desk holds, and moves about in it; what else the keys do is in subclasses, one subject each."""

    DEFAULT_CSS = """
    Panes { layers: default above; }
    Panes #body { height: 1fr; }
    Panes #right { width: 42%; }
    Panes #preview { height: 1fr; }
    Panes #params { height: 1fr; }
    Panes #outputs { width: 30; }
    Panes .pane { border: round $panel-lighten-2; border-title-color: $text-muted; }
    Panes .pane.-here { border: round $primary; border-title-color: $foreground; }
    Panes.-narrow .pane { border: none; }
    Panes.-single #right { width: 1fr; }
    Panes.-single.-graph #right { display: none; }
    Panes.-single.-params #graph, Panes.-single.-params #preview { display: none; }
    Panes.-single.-preview #graph, Panes.-single.-preview #params { display: none; }
    Panes.-single.-outputs #graph, Panes.-single.-outputs #right { display: none; }
    Panes #outputs { display: none; }
    Panes.-outputs #outputs, Panes.-xwide #outputs { display: block; }
    Panes.-narrow #outputs { width: 1fr; }
    Panes #thumb { display: none; position: absolute; width: 20; height: 10; layer: above; }
    Panes.-thumb #thumb { display: block; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.pane = "graph"
        self.zoomed = False
        self._shown_version = -1
        self._wanted = ""
        self._seeds = (-1, False)
        self._shown_picture: object = None

    def body(self) -> Iterable[Widget]:
        """Graph, preview over params, outputs; the run bar below."""
        graph, params, preview = GraphView("graph"), ParamsPane("params"), PictureView("preview", "no picture yet")
        outputs = OutputsPane("outputs")
        for pane in (graph, params, preview, outputs):
            pane.add_class("pane")
        yield Horizontal(graph, Splitter(), Vertical(preview, params, id="right"), outputs, id="body")
        yield RunBar(self.desk)
        yield PictureView("thumb")

    @property
    def graph(self) -> GraphView:
        """The graph pane."""
        return self.query_one("#graph", GraphView)

    @property
    def params(self) -> ParamsPane:
        """The params pane."""
        return self.query_one("#params", ParamsPane)

    def on_mount(self) -> None:
        """Show what is open."""
        self.graph.drawing = self.weft.config.view  # type: ignore[assignment]
        self._to_pane("graph")

    # What is new

    def desk_changed(self, what: frozenset[str]) -> None:
        """Show what is new."""
        desk = self.desk
        session = desk.session
        if session is not None and ("session" in what or session.version != self._shown_version):
            self._shown_version = session.version
            self.graph.show(session, desk.board)
            if self._wanted:
                self.graph.select(self._wanted)
                self._wanted = ""
            self._show_params()
        elif what & {"board", "run"}:
            self.graph.states_changed()
            if "board" in what:
                self._show_params()
        if "run" in what:
            self._show_preview()
            self.query_one("#outputs", OutputsPane).show(desk.runs.values())
        self.query_one(RunBar).refresh()
        self._entitle()
        super().desk_changed(what)

    def go_to(self, node: str) -> None:
        """Select a node; while the workflow is not shown yet, as soon as it is."""
        if self.is_mounted and node in self.graph.order:
            self.graph.select(node)
            self.selected()
        else:
            self._wanted = node

    def selected(self) -> None:
        """Another node is selected."""
        self._show_params()
        self._entitle()
        self.refresh_keys()

    def _show_params(self) -> None:
        desk = self.desk
        self.params.show(desk.session, desk.board, self.graph.selected, desk.seed_mode)

    def _show_preview(self) -> None:
        run = self.desk.board.run
        if run is None:
            return
        pictures = [o for o in run.outputs if str(o.get("mime", "")).startswith("image/")]
        if pictures and not run.active:
            path = pictures[-1]["path"]
            if self._shown_picture != (run.id, path):
                self._shown_picture = (run.id, path)
                self._read_picture(run, path)
        elif run.preview is not None and self._shown_picture is not run.preview:
            self._shown_picture = run.preview
            self._show_picture(opened(run.preview.data), "no picture yet")

    @work(thread=True, exclusive=True, group="picture", exit_on_error=False)
    def _read_picture(self, run: Run, path: str) -> None:
        try:
            with open(path, "rb") as file:
                picture = opened(file.read())
        except OSError:
            picture = None
        if self.desk.board.run is run:
            told = "" if picture is not None else f"cannot show {look.safe(path, 60)}"
            self.app.call_from_thread(self._show_picture, picture, told)

    def _show_picture(self, picture: "Image | None", told: str) -> None:
        self.query_one("#preview", PictureView).show(picture, told)
        self.query_one("#thumb", PictureView).show(picture)
        self._place_thumb()

    def _place_thumb(self) -> None:
        """Where there is no room for the preview, a small one in the corner that the rows leave free."""
        thumb = self.query_one("#thumb", PictureView)
        free = self.graph.drawing == "rails" and len(self.graph.order) + 12 <= self.size.height
        wanted = self.has_class("-narrow") and self.pane == "graph" and free and thumb.picture is not None
        self.set_class(wanted, "-thumb")
        thumb.styles.offset = (self.size.width - 21, self.size.height - 12)

    def on_resize(self, event: events.Resize) -> None:
        """The corner is elsewhere now."""
        self.set_class(self.zoomed or event.size.width < WIDE, "-single")
        self.call_after_refresh(self._place_thumb)

    def _entitle(self) -> None:
        board, node = self.desk.board, self.graph.selected
        kind = board.types.get(node, "")
        self.graph.border_title = Text("Graph")
        title = f"{look.safe(node, 40)} · {look.safe(kind, 40)}" if node else "Params"
        if node and board.view(node).state is State.FAILED:
            title = f"Error · {title}"
        self.params.border_title = Text(title)
        preview, run = "Preview", board.run
        if run is not None and run.preview is not None and run.active:
            shown = run.preview
            preview += f" · {look.safe(shown.node, 40)} step {shown.step}/{shown.total}"
        self.query_one("#preview").border_title = Text(preview)
        self.query_one("#outputs").border_title = Text("Outputs")

    def facts(self) -> dict[str, Any]:
        """What decides which keys are live."""
        session, field = self.desk.session, self.params.field if self.is_mounted else None
        found = {**super().facts(), "pane": self.pane}
        if session is None:
            return found
        in_params = self.pane == "params" and field is not None
        return {
            **found,
            "node": bool(self.graph.selected),
            "missing": self._can_be_fetched(),
            "trace": bool(self.desk.board.traceback_at(self.graph.selected)),
            "field": in_params and field is not None and field.editable,
            "link": in_params and field is not None and bool(field.node) and field.spec is not None,
            "number": in_params and field is not None and field.editable and field.kind not in ("text", "value"),
            "seed": self._has_seed(session),
            "undo": session.can_undo,
            "redo": session.can_redo,
            "found": bool(self.graph.found),
        }

    def _can_be_fetched(self) -> bool:
        board, node = self.desk.board, self.graph.selected
        missing = board.view(node).state is State.MISSING
        return missing and any(PULL in problem.get("hint", "") for problem in board.problems_at(node))

    def _has_seed(self, session: Session) -> bool:
        if self._seeds[0] != session.version:
            self._seeds = session.version, bool(seeds_of(session))
        return self._seeds[1]

    # Panes and moving

    def _to_pane(self, pane: str) -> None:
        self.pane = pane
        for name in PANES:
            self.set_class(name == pane, f"-{name}")
            self.query_one(f"#{name}").set_class(name == pane, "-here")
        if pane in ("graph", "params"):
            self.query_one(f"#{pane}").focus()
        else:
            self.set_focus(None)
        self._arrange()
        self.refresh_keys()

    def _arrange(self) -> None:
        """One pane alone where the terminal is narrow or the person wants it so; else all of them."""
        self.set_class(self.zoomed or self.size.width < WIDE, "-single")
        self._place_thumb()

    def action_pane_zoom(self) -> None:
        """This pane alone, or all of them again."""
        self.zoomed = not self.zoomed
        self._arrange()

    def on_splitter_dragged(self, event: Splitter.Dragged) -> None:
        """Share the columns out as the mouse says."""
        right = self.query_one("#right")
        whole = self.graph.outer_size.width + right.outer_size.width
        right.styles.width = max(20, min(right.outer_size.width - event.by, whole - 20))

    def action_pane_graph(self) -> None:
        """To the graph."""
        self._to_pane("graph")

    def action_pane_params(self) -> None:
        """To the values."""
        self._to_pane("params")

    def action_pane_preview(self) -> None:
        """To the preview."""
        self._to_pane("preview")

    def action_pane_outputs(self) -> None:
        """To what was saved."""
        self._to_pane("outputs")

    def action_pane_next(self) -> None:
        """To the next pane."""
        self._to_pane(PANES[(PANES.index(self.pane) + 1) % len(PANES)])

    def action_pane_previous(self) -> None:
        """To the pane before."""
        self._to_pane(PANES[(PANES.index(self.pane) - 1) % len(PANES)])

    def action_screen_back(self) -> None:
        """From another pane to the graph."""
        self._to_pane("graph")

    def _move(self, rows: int) -> None:
        if self.pane == "params":
            self.params.move(rows)
            self.refresh_keys()
        else:
            self.graph.move(rows)
            self.selected()

    def action_move_up(self) -> None:
        """One up."""
        self._move(-1)

    def action_move_down(self) -> None:
        """One down."""
        self._move(1)

    def action_move_page_up(self) -> None:
        """A page up."""
        self._move(-(self.params if self.pane == "params" else self.graph).page())

    def action_move_page_down(self) -> None:
        """A page down."""
        self._move((self.params if self.pane == "params" else self.graph).page())

    def action_move_first(self) -> None:
        """To the first."""
        self._move(-1_000_000)

    def action_move_last(self) -> None:
        """To the last."""
        self._move(1_000_000)

    def action_move_left(self) -> None:
        """To what feeds the node."""
        self._follow([link.node for link in self._links(self.graph.selected)])

    def action_move_right(self) -> None:
        """To what the node feeds."""
        node = self.graph.selected
        self._follow([n for n in self.graph.order if any(link.node == node for link in self._links(n))])

    def _links(self, node: str) -> list[Link]:
        session = self.desk.session
        raw = session.nodes.get(node) if session is not None else None
        values = raw.values() if isinstance(raw, dict) else ()
        items = [item for value in values for item in (value if isinstance(value, list) else [value])]
        return [link for link in map(reference, items) if isinstance(link, Link)]

    def _follow(self, nodes: list[str]) -> None:
        if nodes:
            self.graph.select(nodes[0])
            self.selected()

    def action_view_cycle(self) -> None:
        """The next drawing of the graph."""
        at = DRAWINGS.index(self.graph.drawing)
        self.graph.draw_as(DRAWINGS[(at + 1) % len(DRAWINGS)])
        self._place_thumb()

    def action_view_fit(self) -> None:
        """Bring the selection into view."""
        self.graph.reveal()

    def on_graph_view_selected(self, event: GraphView.Selected) -> None:
        """A node was clicked; twice: to its values."""
        self._to_pane("params" if event.again else "graph")
        self.selected()

    def on_outputs_pane_chosen(self, event: OutputsPane.Chosen) -> None:
        """A picture of the list was clicked."""
        self.weft.show_screen("image", path=event.path)
