"""What the keys of the main screen do about comparing: marking values, asking for the axes."""

from collections.abc import Mapping, Sequence
from typing import Any

from engine.errors import WeftError
from tui.fields import Field, fields_of, params_of
from tui.screens.modals import AskText, Choose
from tui.screens.panes import Panes
from tui.sheet import MOST, Sheet, read_axis, suggested, typed

AXES = 2


class Comparing(Panes):
    """Part of the main screen."""

    def action_compare_mark(self) -> None:
        """Mark the selected value as an axis, or no longer; the last two count."""
        field = self.params.field
        if field is not None and field.editable:
            key = field.param or field.key
            marked = [k for k in self.params.marked if k != key]
            self.params.marked = tuple(marked if key in self.params.marked else [*marked, key])[-AXES:]
            self.params.refresh()

    def action_compare_last(self) -> None:
        """The latest comparison."""
        self.weft.show_screen("compare")

    def action_compare_open(self) -> None:
        """Compare over the marked values; where none is marked, ask for them."""
        fields = self._axes()
        axes = [fields[key] for key in self.params.marked if key in fields]
        if axes:
            self._ask_values(axes, {})
        elif fields:
            self._ask_axis(fields, [])

    def compare_over(self, sweep: Mapping[str, Sequence[Any]]) -> None:
        """Compare over the axes of another comparison: its values are there to be changed."""
        fields = self._axes()
        self._ask_values([fields[name] for name in sweep if name in fields], {}, sweep)

    def _axes(self) -> dict[str, Field]:
        session = self.desk.session
        if session is None:
            return {}
        fields = {field.key: field for field in params_of(session) if field.editable}
        return fields | {
            f.key: f for node in session.nodes for f in fields_of(session, node) if f.editable and not f.param
        }

    def _ask_axis(self, fields: dict[str, Field], axes: list[Field]) -> None:
        options = [(key, key, f"{field.shown}  {field.about}") for key, field in fields.items() if field not in axes]
        if axes:
            options.insert(0, ("", "(no second axis)", "one row of pictures"))

        def take(key: str | None) -> None:
            if key is None:
                return
            chosen = [*axes, fields[key]] if key else axes
            if key and len(chosen) < AXES:
                self._ask_axis(fields, chosen)
            else:
                self._ask_values(chosen, {})

        title = "Compare over which values?" if not axes else f"{axes[0].key}, and across?"
        self.app.push_screen(Choose(title, options), take)

    def _ask_values(
        self, axes: list[Field], sweep: dict[str, list[Any]], before: Mapping[str, Sequence[Any]] | None = None
    ) -> None:
        if len(sweep) == len(axes):
            self._compare(sweep)
            return
        field = axes[len(sweep)]
        hint = " · ".join(filter(None, ["separated by commas, or 1..5", field.range_text]))

        def take(text: str | None) -> None:
            if text is not None:
                self._ask_values(axes, {**sweep, field.key: read_axis(field, text)}, before)

        values = typed((before or {}).get(field.key, ())) or suggested(field)
        window = AskText(f"Values of {field.key}", values, hint, lambda text: read_axis(field, text))
        self.app.push_screen(window, take)

    def _compare(self, sweep: dict[str, list[Any]]) -> None:
        count = Sheet(sweep).count
        if count < 2 or count > MOST:
            self.weft.say(f"{count} pictures; a comparison takes 2 to {MOST}", "warning")
            return
        try:
            order = self.desk.run(sweep=sweep, purpose="compare", grid=True)
        except WeftError as why:
            self.weft.tell_error(why)
            return
        self.weft.show_screen("compare", run=order.id)
