"""Changing or removing one value in the text of a JSON file, so that everything else stays as its author wrote it."""

import re

from engine.jsontext import JsonPath, Member, dump_canonical, members, parse
from engine.source import Source

_LINE_INDENT = re.compile(r"\n([ \t]+)")


def replace_value(text: str, path: JsonPath, new_json_text: str) -> str:
    """`text` with the value at `path` replaced by `new_json_text`; every other character is kept.

    Where the last step of `path` is a new key of an object, or the length of a list, the value is added at the end,
    laid out as the members before it are. `text` is one that `parse` took. An empty path replaces the whole value.

    Raises KeyError when the object or list that should hold the value is not there, and WorkflowError when the new
    text is not JSON.
    """
    parse(Source("new value", new_json_text))
    at = len(text) - len(text.lstrip(" \t\r\n"))
    if not path:
        return text[:at] + new_json_text + text[len(text.rstrip(" \t\r\n")) :]
    for step in path[:-1]:
        at = members(text, at)[step].start
    last, inside = path[-1], members(text, at)
    if last in inside:
        return text[: inside[last].start] + new_json_text + text[inside[last].end :]
    if text[at] != ("{" if isinstance(last, str) else "[") or (isinstance(last, int) and last != len(inside)):
        raise KeyError(path)
    key = dump_canonical(last) if isinstance(last, str) else ""
    return _add(text, at, list(inside.values()), key, new_json_text)


def remove_value(text: str, path: JsonPath) -> str:
    """`text` without the value at `path`, its key, and the comma and space that set it apart from the others.

    `text` is one that `parse` took. Raises KeyError when there is no such value.
    """
    at = len(text) - len(text.lstrip(" \t\r\n"))
    for step in path[:-1]:
        at = members(text, at)[step].start
    inside = members(text, at)
    names = list(inside)
    index = names.index(path[-1]) if path and path[-1] in inside else -1
    if index < 0:
        raise KeyError(path)
    here = inside[names[index]]
    if index:
        return text[: inside[names[index - 1]].end] + text[here.end :]
    if len(names) > 1:
        return text[: here.key] + text[inside[names[1]].key :]
    close = text.index("}" if text[at] == "{" else "]", here.end)
    return text[: at + 1] + text[close:]


def _add(text: str, at: int, inside: list[Member], key: str, value: str) -> str:
    """`text` with a new last member of the object or list at `at`, which holds the members `inside`."""
    if not inside:
        close = text.index("}" if text[at] == "{" else "]", at)
        before, after = _first_layout(text, at)
        return f"{text[: at + 1]}{before}{key}{': ' if key else ''}{value}{after}{text[close:]}"
    end = inside[-1]
    # What stands between the comma or bracket and the last member is its layout.
    gap = text[inside[-2].end if len(inside) > 1 else at + 1 : end.key].partition(",")[2 if len(inside) > 1 else 0]
    space = " " if text[end.start - 1] in " \t\n" and key else ""
    if len(inside) == 1 and "\n" not in gap:
        gap = space if key else " "
    return f"{text[: end.end]},{gap}{key}{':' + space if key else ''}{value}{text[end.end :]}"


def _first_layout(text: str, at: int) -> tuple[str, str]:
    """What goes before and after the first member: a line of its own, in a file that has lines."""
    unit = _LINE_INDENT.search(text)
    if not unit:
        return "", ""
    newline = "\r\n" if "\r\n" in text else "\n"
    line = text[text.rfind("\n", 0, at) + 1 : at]
    indent = line[: len(line) - len(line.lstrip(" \t"))]
    return newline + indent + unit.group(1), newline + indent
