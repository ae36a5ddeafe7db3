"""weft models: which models are on this machine, where one is, whether its files are whole; and getting one."""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.common import print_json, table
from engine.cache import Cache, default_root
from engine.errors import Problem, WeftError, error
from engine.text import plural, quoted, size, visible

if TYPE_CHECKING:
    from engine.registry import Registry
    from nodes.library import Found

PLACES = {"shipped": "weft", "hub": "hub", "placed": "weft.toml", "beside": "here"}
"""What `ls` calls the places."""


def main(args: argparse.Namespace, registry: "Registry | None") -> int:
    """Do ACTION; returns the exit code."""
    if args.action == "pull":
        from commands.pull import pull

        return pull(args)
    given = {"--revision": args.revision, "--variant": args.variant, "--small": args.small, "--yes": args.yes,
             "--jsonl": args.jsonl}  # fmt: skip
    if wrong := [name for name, value in given.items() if value]:
        raise error(Problem("E-CLI", f"{wrong[0]} belongs to pull", "weft models --help says what it takes"))
    return {"ls": _ls, "find": _find, "verify": _verify}[args.action](args)


def _ls(args: argparse.Namespace) -> int:
    """Every model, by place; words narrow the list."""
    found = [one for one in _all() if all(word.lower() in f"{one.source} {one.what}".lower() for word in args.words)]
    if args.json:
        print_json({"models": [_json(one) for one in found]})
        return 0
    told = (visible(". ".join(filter(None, (one.what, one.wrong))), 160) for one in found)
    rows = [
        (visible(one.source, 80), size(one.bytes), PLACES[one.where], what)
        for one, what in zip(found, told, strict=True)
    ]
    print("\n".join(table(rows) if rows else ["no models; weft models pull OWNER/NAME gets one"]))
    return 0


def _find(args: argparse.Namespace) -> int:
    """Where models are: by name as a node's source has it, or by SHA-256, for which files are read if need be."""
    from nodes import placed
    from nodes.files import find_file
    from nodes.sources import find_model

    if not args.words:
        raise error(Problem("E-CLI", "find takes names, or sha256:…", "weft models find NAME"))
    cache = Cache(default_root())
    try:
        found = []
        for word in args.words:
            match = placed.DIGEST.fullmatch(word)
            if match is not None:
                found.append((word, _with(match[1].lower(), cache)))
                continue
            try:
                found.append((word, find_model(word, Path())))
            except WeftError as why:
                if why.problems[0].code != "E-NOTFOUND":
                    raise
                try:
                    found.append((word, find_file(word, Path())))
                except WeftError:
                    raise why from None
    finally:
        cache.close()
    if args.json:
        print_json({"found": {word: str(path) for word, path in found}})
    else:
        for _, path in found:
            print(visible(str(path), 4000))
    return 0


def _with(digest: str, cache: Cache) -> Path:
    """The file of a digest, of those that are known here or among all models."""
    if known := cache.with_sha256(digest):
        return known[0]
    for model in _all():
        for file in model.files:
            try:
                if cache.sha256(file).startswith(digest):
                    return file
            except OSError:
                continue
    what = f"no model here has the SHA-256 {digest}"
    raise error(Problem("E-NOTFOUND", what, "name the folder that it lies in in weft.toml", exit_code=3))


def _verify(args: argparse.Namespace) -> int:
    """Read the files of models whole, and compare their digests with those that are known; exit code 1 if one differs.

    The hub's cache names files by their digest. Of other files the digest is told, and whether it changed since.
    """

    from nodes.library import verify

    every = [one for one in _all() if not args.words or one.source in args.words]
    if absent := [word for word in args.words if word not in {one.source for one in every}]:
        raise error(Problem("E-NOTFOUND", f"no model {quoted(absent[0])}", "weft models ls lists them", exit_code=3))
    rows: list[dict[str, Any]] = []
    cache = Cache(default_root())
    try:
        for one in every:
            rows += [{"model": one.source, **verify(file, cache)} for file in one.files]
    finally:
        cache.close()
    bad = [row for row in rows if row["state"] not in ("ok", "read")]
    if args.json:
        print_json({"status": "error" if bad else "ok", "files": rows})
    else:
        shown = [
            (row["state"], visible(row["model"], 60), visible(Path(row["file"]).name, 80), row["sha256"])
            for row in rows
        ]
        print("\n".join([*table(shown), f"{plural(len(rows), 'file')}, {plural(len(bad), 'file')} damaged"]))
    return 1 if bad else 0


def _all() -> Iterator["Found"]:
    from nodes.library import on_this_machine

    return on_this_machine(Path())


def _json(one: "Found") -> dict[str, Any]:
    files: Sequence[Path] = one.files
    return {"source": one.source, "place": one.where, "path": str(one.path), "what": one.what, "wrong": one.wrong,
            "bytes": one.bytes, "files": [str(file) for file in files]}  # fmt: skip
