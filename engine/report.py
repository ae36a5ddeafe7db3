"""Gathering what is wrong with a document, each thing with its place, while checking goes on."""

from collections.abc import Iterable

from engine.document import Document
from engine.errors import Problem
from engine.jsontext import JsonPath
from engine.spec import Bad
from engine.text import did_you_mean, find_controls

MOST = 1000
"""Errors of one document that are reported: a file made to be wrong must not take minutes."""

HINTS = 50
"""Names looked up for a near miss in one document: more would take minutes where thousands are wrong."""


class TooMany(Exception):
    """More is wrong than is reported."""


class Report:
    """The problems of one document, in the order in which they were found."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.problems: list[Problem] = list(document.notes)
        self._hints = HINTS

    def add(self, code: str, what: str, hint: str = "", *, path: JsonPath = (), key: bool = False) -> None:
        """A problem at the part of the file that `path` names, or at its key. Raises TooMany, as `place` does."""
        self._keep(self.document.problem(code, what, hint, path=path, key=key))

    def place(self, found: Problem | Bad, path: JsonPath) -> None:
        """A problem that was found by someone who does not know the file."""
        self._keep(self.document.placed(found.problem if isinstance(found, Bad) else found, path))

    def _keep(self, problem: Problem) -> None:
        if len(self.problems) < MOST:
            self.problems.append(problem)
        elif not problem.is_warning:
            self.problems += [
                problem,
                self.document.problem("E-LIMIT", f"more than {MOST} problems", "these are the first"),
            ]
            raise TooMany

    def suggest(self, word: str, known: Iterable[str]) -> str:
        """The hint for an unknown name; see `did_you_mean`."""
        self._hints -= 1
        return did_you_mean(word, known) if self._hints >= 0 else ""

    def note_controls(self, value: object, path: JsonPath) -> None:
        """A note if a text holds control characters: they are legal, and seldom meant."""
        count = find_controls(value) if isinstance(value, str) else 0
        if count:
            what = f"{count} control character{'s' if count > 1 else ''}"
            self.add("W-CTRL", what, "shown escaped; remove what is not meant", path=path)
