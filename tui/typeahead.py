"""Keys in the order in which they were typed, also where they come faster than they are handled.

Textual hands a key to the widget that has the focus, and only what that widget leaves alone comes back to the app, as
the action of a binding. So of ctrl+u 1 2, all waiting at once, 1 and 2 were typed first and then deleted; and what was
typed behind a key that opens a window still went to the screen below. Here a key is handed on when all that the one
before it set off is done.
"""

import asyncio
from collections import deque

from textual import events
from textual.app import App, ReturnType
from textual.dom import DOMNode

LOOK = 0.01
"""Seconds between two looks at whether a widget that handles a key is still there."""
PATIENCE = 20
"""How often to look, before the next key is handed on all the same."""
ROUNDS = 8
"""How often a key may lead from one place to the next, such as into a window."""


class InOrder(App[ReturnType]):
    """An app that handles one key, or pasted text, after the other."""

    _typed: deque[events.Event]
    _typing: "asyncio.Task[None] | None" = None

    @property
    def typed_ahead(self) -> bool:
        """Whether keys wait, or one is being handled."""
        return self._typing is not None

    async def on_event(self, event: events.Event) -> None:
        """Put a key behind those that wait; everything else is handled at once."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            if self._typing is None:
                self._typed = deque()
                self._typing = asyncio.create_task(self._type())
            self._typed.append(event)
        else:
            await super().on_event(event)

    async def _type(self) -> None:
        try:
            while self._typed and not self._exit:
                await super().on_event(self._typed.popleft())
                await self._settled()
        except Exception as error:  # as Textual does where it handles an event
            self._handle_exception(error)
        finally:
            self._typing = None

    async def _settled(self) -> None:
        """Wait until the widget with the focus, those around it and the app have done what was asked of them twice.

        The first time they have handled the key; the second time what followed, such as a line being submitted. Where
        that opened or closed a window, it begins again there.
        """
        before: object = None
        for _ in range(ROUNDS):
            here = self.screen, self.focused
            for node in (self.focused or self.screen).ancestors_with_self:
                await _turn(node)
            if here == before == (self.screen, self.focused):
                break
            before = here


async def _turn(node: DOMNode) -> None:
    """Wait until a widget has handled all that it has been told so far, unless it is being removed."""
    done = asyncio.Event()
    if node.call_later(done.set):
        for _ in range(PATIENCE):
            try:
                await asyncio.wait_for(done.wait(), LOOK)
                return
            except TimeoutError:
                if not node.is_attached:
                    return
