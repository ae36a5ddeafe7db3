"""Everything that is wrong with a JSON text, each with its place.

A small machine reads the text token by token: each state is a method that takes the next character and returns the
state after it, and the containers that are open lie on a stack, so depth costs no recursion. It goes on after mistakes
whose meaning is plain (a trailing comma, a comment, NaN), so that one reading names them all, and stops at one that
leaves the rest a guess.
"""

from collections.abc import Callable

from engine.errors import Problem
from engine.jsontoken import SINGLE, WORD, Open, Stop, Tokens
from engine.source import Source
from engine.text import quoted, visible

DEPTH = 64
"""Objects and lists within each other."""

_State = Callable[[str], "_State"]


def problems(source: Source) -> list[Problem]:
    """What is wrong with the JSON in `source`, in the order of the text, at most `MOST`; empty if nothing is."""
    return _Scan(source).run()


class _Scan(Tokens):
    def run(self) -> list[Problem]:
        state: _State = self.value
        try:
            while True:
                self.skip()
                if self.at >= len(self.text):
                    self.ended(state)
                    break
                state = state(self.text[self.at])
        except Stop:
            pass
        return self.found

    def ended(self, state: _State) -> None:
        if self.stack:
            opened = self.stack[-1]
            self.problem(
                len(self.text.rstrip(" \t\r\n")),
                f"the file ends inside {opened.kind}",
                f"it opens at {self.where(opened.offset)}; the file seems cut off",
            )
        elif state == self.value and not self.found:
            self.problem(0, "the file is empty", "expected a workflow", "E-EMPTY")

    # The states.

    def value(self, c: str) -> _State:
        if c in "{[":
            return self.open(c)
        if c == '"':
            self.string()
        elif single := SINGLE.match(self.text, self.at):
            self.problem(self.at, f"text in {c} quotes", 'JSON takes "double quotes" only')
            self.at = single.end()
        elif word := WORD.match(self.text, self.at):
            self.word(word.group())
            self.at = word.end()
        elif c == "," and self.stack:
            self.problem(self.at, "a value is missing before this comma", "write it, or remove the comma")
            return self.after(c)
        elif c == "}" and self.stack and self.stack[-1].is_object:
            self.problem(self.at, f"{quoted(self.stack[-1].key)} has no value", "write one after the colon")
            return self.after(c)
        elif c == "]" and self.stack and not self.stack[-1].is_object:
            self.trailing_comma()
            return self.after(c)
        else:
            self.unexpected(c, "a value")
        return self.closed()

    def first_value(self, c: str) -> _State:
        return self.after(c) if c == "]" else self.value(c)

    def key(self, c: str) -> _State:
        start = self.at
        if c == '"':
            key = self.string()
        elif single := SINGLE.match(self.text, self.at):
            self.problem(self.at, f"key in {c} quotes", 'JSON takes "double quotes" only')
            self.at, key = single.end(), single.group()[1:-1]
        elif word := WORD.match(self.text, self.at):
            self.problem(self.at, f"{visible(word.group(), 40)} stands without quotes", 'a key is in "double quotes"')
            self.at, key = word.end(), word.group()
        elif c == "}":
            self.trailing_comma()
            return self.after(c)
        elif c == ",":
            self.problem(self.at, "a comma too many", "remove it")
            return self.after(c)
        else:
            self.unexpected(c, "a key")
        self.enter(key, start)
        return self.colon

    def first_key(self, c: str) -> _State:
        return self.after(c) if c == "}" else self.key(c)

    def colon(self, c: str) -> _State:
        key = quoted(self.stack[-1].key)
        if c in ":=":
            if c == "=":
                self.problem(self.at, f"= after the key {key}", "JSON writes a colon")
            self.at += 1
            return self.value
        self.problem(self.last_end, f"no colon after {key}", "a key, a colon, a value")
        if c in ",}":
            return self.after(c)
        return self.value(c)

    def after(self, c: str) -> _State:
        if not self.stack:
            self.problem(self.at, "more text after the end of the JSON", "a file holds one value; remove the rest")
            raise Stop
        top = self.stack[-1]
        if c == ",":
            self.comma, top.key = self.at, ""
            self.at += 1
            return self.key if top.is_object else self.value
        if c in "]}":
            if (c == "}") != top.is_object:
                hint = f"{top.kind} opened at {self.where(top.offset)} is still open"
                self.problem(self.at, f"{c} where {'}' if top.is_object else ']'} is due", hint)
                raise Stop
            self.stack.pop()
            self.at += 1
            return self.closed()
        if c in "\"'{[" or WORD.match(c):
            self.problem(self.last_end, "a comma is missing here", f"it goes before {self.glimpse()}")
            top.key = ""
            return self.key(c) if top.is_object else self.value(c)
        return self.unexpected(c, "a comma or the end of " + top.kind)

    # Parts of the states.

    def open(self, c: str) -> _State:
        if len(self.stack) == DEPTH:
            self.problem(self.at, f"nested deeper than {DEPTH}", "flatten it", "E-DEPTH")
            raise Stop
        self.stack.append(Open(self.at, c == "{"))
        self.at += 1
        return self.first_key if c == "{" else self.first_value

    def closed(self) -> _State:
        """A value has ended."""
        self.last_end = self.at
        return self.after

    def enter(self, key: str, start: int) -> None:
        """Note that `key` begins at `start`, or say where it stood before."""
        self.last_end = self.at
        top = self.stack[-1]
        top.key = key
        first = top.keys.setdefault(key, start)
        if first == start:
            return
        if len(self.stack) == 2 and self.stack[0].key == "nodes":
            what = f"node {quoted(key)} defined at {self.where(first)} and {self.where(start)}"
            self.problem(start, what, "rename one, or remove it", "E-DUPKEY", whole=True)
        else:
            self.problem(start, f"{quoted(key)} stands twice, first at {self.where(first)}", "keep one", "E-DUPKEY")

    def trailing_comma(self) -> None:
        self.problem(self.comma, "JSON allows no trailing comma", "remove it")

    def unexpected(self, c: str, due: str) -> _State:
        self.problem(self.at, f"unexpected {quoted(c)}", f"expected {due}")
        raise Stop

    def glimpse(self) -> str:
        """The next few characters."""
        return visible(self.text[self.at : self.at + 20].split("\n")[0], 20)
