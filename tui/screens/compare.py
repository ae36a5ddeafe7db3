"""A comparison: the pictures of a sweep side by side; the values of the one that is picked become the workflow's."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual import work
from textual.widget import Widget
from textual.widgets import Static

from engine.errors import WeftError
from tui import look
from tui.board import State
from tui.screens.base import WeftScreen
from tui.sheet import Sheet
from tui.widgets.bars import HeaderBar
from tui.widgets.compare import CompareGrid
from tui.widgets.picture import opened

if TYPE_CHECKING:
    from PIL.Image import Image

THUMB = 512
"""Pixels a side at most of a picture that is kept for the grid."""


class CompareScreen(WeftScreen):
    """See the module. run: the id of the sweep; the latest comparison, if not given."""

    NAME = "compare"
    HEAD = "Compare"
    AUTO_FOCUS = "CompareGrid"
    DEFAULT_CSS = "CompareScreen #about { height: 1; background: $panel; padding: 0 1; }"

    def __init__(self, run: str = "") -> None:
        super().__init__()
        self._id_of_run = run
        self._seen: dict[int, object] = {}

    def body(self) -> Iterable[Widget]:
        """The grid, and a line about the selected picture."""
        desk = self.desk
        if not self._id_of_run:
            self._id_of_run = next((o.id for o in reversed(desk.orders.values()) if o.purpose == "compare"), "")
        run, order = desk.runs.get(self._id_of_run), desk.orders.get(self._id_of_run)
        if run is None or order is None:
            waits = any(o.id == self._id_of_run for o in desk.queue.waiting)
            yield Static(Text("it waits for its turn: Q shows the queue" if waits else "nothing was compared yet"))
            return
        yield CompareGrid(Sheet(order.command["sweep"]), run)
        yield Static(id="about")

    @property
    def grid(self) -> CompareGrid | None:
        """The grid, if there is something to compare."""
        return next(iter(self.query(CompareGrid)), None)

    def desk_changed(self, what: frozenset[str]) -> None:
        """Show new pictures and how far everything is."""
        grid = self.grid
        if grid is None and self._id_of_run in self.desk.runs:
            self.refresh(recompose=True)
        if grid is not None:
            if what & {"run", "session"}:
                self._gather(grid)
                grid.show()
            self._describe()
        super().desk_changed(what)

    def _gather(self, grid: CompareGrid) -> None:
        for output in grid.run.outputs:
            variant, path = output.get("variant"), str(output["path"])
            if not isinstance(variant, int) or not str(output.get("mime", "")).startswith("image/"):
                continue
            if not isinstance(self._seen.get(variant), str):
                self._seen[variant] = path
                self._read(variant, path)
        for variant, preview in grid.run.previews.items():
            seen = self._seen.get(variant)
            if seen is not preview and not isinstance(seen, str):
                self._seen[variant] = preview
                if (picture := opened(preview.data)) is not None:
                    grid.put(variant, picture)

    @work(thread=True, group="compare", exit_on_error=False)
    def _read(self, variant: int, path: str) -> None:
        try:
            with open(path, "rb") as file:
                picture = opened(file.read())
        except OSError:
            return
        if picture is not None:
            picture.thumbnail((THUMB, THUMB))
            self.app.call_from_thread(self._put, variant, picture)

    def _put(self, variant: int, picture: "Image") -> None:
        if (grid := self.grid) is not None:
            grid.put(variant, picture)

    def _describe(self) -> None:
        grid = self.grid
        if grid is None:
            return
        run, sheet = grid.run, grid.sheet
        values = "   ".join(f"{name} {value}" for name, value in sheet.values(grid.at).items())
        paths = [str(o["path"]) for o in run.outputs if o.get("variant") == grid.at]
        sheets = [str(o["path"]) for o in run.outputs if o.get("variant") is None]
        parts = [values, *paths[:1], *(f"sheet: {path}" for path in sheets)]
        text = "   ".join(look.safe(part, 120) for part in parts if part)
        header = self.query_one(HeaderBar)
        header.title = f"Compare · {self._how_far(grid)}"
        header.refresh()
        self.query_one("#about", Static).update(Text(text, look.style(self.app, "text"), no_wrap=True))

    def _how_far(self, grid: CompareGrid) -> str:
        states = grid.states()
        done, running = states.count(State.DONE), states.count(State.RUNNING)
        left = self.desk.left() if self.desk.current is grid.run else None
        parts = [" × ".join(name.rpartition(".")[2] for name in grid.sheet.names), f"{grid.sheet.count} runs",
                 f"{done} done", f"{running} running" if running else "",
                 f"ETA {left}" if left is not None else ""]  # fmt: skip
        return " · ".join(filter(None, parts))

    def facts(self) -> dict[str, Any]:
        """A picture is selected."""
        grid = self.grid if self.is_mounted else None
        return {**super().facts(), "items": grid is not None}

    def _move(self, down: int, across: int) -> None:
        if (grid := self.grid) is not None:
            grid.move(down, across)
            self._describe()

    def action_compare_up(self) -> None:
        """The picture above."""
        self._move(-1, 0)

    def action_compare_down(self) -> None:
        """The picture below."""
        self._move(1, 0)

    def action_compare_left(self) -> None:
        """The picture to the left."""
        self._move(0, -1)

    def action_compare_right(self) -> None:
        """The picture to the right."""
        self._move(0, 1)

    def on_compare_grid_chosen(self, event: CompareGrid.Chosen) -> None:
        """A picture was clicked; twice: open it."""
        self._describe()
        if event.again:
            self.action_compare_image()

    def _path(self, variant: int) -> str:
        outputs = self.grid.run.outputs if self.grid is not None else []
        return next((str(o["path"]) for o in outputs if o.get("variant") == variant), "")

    def action_compare_image(self) -> None:
        """The selected picture full screen."""
        if self.grid is not None and (path := self._path(self.grid.at)):
            self.weft.show_screen("image", path=path)

    def action_compare_mark(self) -> None:
        """Mark the selected picture, or no longer."""
        if (grid := self.grid) is not None:
            grid.marked = -1 if grid.marked == grid.at else grid.at
            grid.refresh()

    def action_compare_flip(self) -> None:
        """The marked picture and the selected one in turn, full screen."""
        if (grid := self.grid) is None:
            return
        other = grid.marked if grid.marked not in (-1, grid.at) else max(grid.at - 1, 0)
        pair = [path for variant in (other, grid.at) if (path := self._path(variant))]
        if len(set(pair)) == 2:
            self.weft.show_screen("image", path=pair[1], among=pair)
        else:
            self.weft.say("flipping takes two pictures that are there: mark one with m, and go to another", "warning")

    def action_compare_axes(self) -> None:
        """Ask for other values of the same axes, those of this comparison to begin with."""
        if (grid := self.grid) is not None:
            self.weft.show_screen("main")
            self.weft.compare_again(grid.sheet.sweep)

    def action_compare_pick(self) -> None:
        """Its values become the workflow's, as one change that can be undone."""
        grid, session = self.grid, self.desk.session
        if grid is None or session is None:
            return
        values = grid.sheet.values(grid.at)
        try:
            session.set_values(values, "pick " + grid.sheet.title(grid.at))
        except WeftError as why:
            self.weft.tell_error(why)
            return
        self.desk.edited()
        self.weft.show_screen("main")
        self.weft.say("picked: " + ", ".join(f"{name} {value}" for name, value in values.items()) + "; u takes it back")

    def action_run_stop(self) -> None:
        """Stop the sweep; what is done stays."""
        self.desk.stop()
