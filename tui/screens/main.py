"""The main screen: the panes, and everything that its keys do."""

from tui.screens.comparing import Comparing
from tui.screens.filing import Filing
from tui.screens.finding import Finding
from tui.screens.jumping import Jumping
from tui.screens.running import Running
from tui.widgets.params import ParamsPane


class MainScreen(Running, Comparing, Finding, Jumping, Filing):
    """See the module."""

    NAME = "main"

    def on_params_pane_selected(self, event: ParamsPane.Selected) -> None:
        """A row was clicked; twice: edit it."""
        self.action_pane_params()
        if event.again:
            self.action_edit_value()
