"""Writes docs/cli.md: what stands below, and the help of every verb as the command prints it.

python docs/make_cli.py
"""

import sys
from pathlib import Path

import cli

HEAD = """\
# The command line

This page is written by `python docs/make_cli.py` from the commands' own help.

`FILE` is a workflow file, or the name of a workflow that ships with weft (`weft doctor` lists them).

## Values

`weft run FILE name=value` sets a param of the workflow; `node.input=value` sets any input of a node that is not linked
to another. `weft run FILE --help` shows the params with their types, defaults and ranges.

- A value is read as what the input takes: a whole number, a number, `true` or `false`, text as it is, JSON for lists
  (`parts='["a", "b"]'`) and objects. It is always literal: `@x` and `$x` have no meaning here.
- A seed of `null` or `-1` is drawn; weft shows the one it drew, so that the run can be made again.
- A file is looked for in the current folder first, where it may have any path, then beside the workflow. Files that the
  workflow itself names must lie in its folder, or in one that `--allow DIR` opens.

## Sweeps

`--sweep name=a,b,c` runs once for each value, and several of them once for each combination, the first slowest.
`--zip name=a,b` takes its values side by side with those of the other `--zip`s, inside the sweeps. A comma inside a
value is written `\\,`, or the values are given as a JSON list. What variants have in common is computed once. Seeds
that nobody chose are the same in all of them. `--grid` also draws one labelled picture, each row through all values of
what changes fastest.

## What is printed

Standard output has the path of each file that was saved, one a line, and nothing else; texts that a node shows
without saving them, and plain values asked for with `--target`, stand there too. Progress, warnings and errors go to
standard error: on a terminal a moving line, elsewhere a few plain ones. `NO_COLOR` is respected; every state has a
glyph and a word.

`--json` prints one object instead, also when something fails (where nothing ran, with `status` and `problems` alone):

| key | what |
|---|---|
| `status` | `done`, `failed`, `cancelled`; `error` where nothing ran |
| `seconds` | of the whole run |
| `outputs` | `path`, `digest`, `mime`, `node`, `variant` of each file; the digest of a picture is that of its pixels |
| `texts` | `variant`, `node`, `text` |
| `seeds` | for each variant the seeds that took part, by param or `node.input` |
| `nodes` | by id: `type`, `status` (the gravest of all variants), `seconds`, `peak_bytes`, times `ran` and `cached` |
| `problems`, `warnings` | `code`, `what`, `hint`, `where`, `line`, `column`, `node`, `input`, `exit_code` |

`--jsonl` prints every event as it happens, one JSON object a line: `run_started`, `node_started`, `node_cached`,
`node_progress`, `node_said`, `node_finished`, `node_failed`, `node_skipped`, `warning`, `run_finished`; and `error`,
with the problems, where nothing could run.

Ctrl-C stops within one step and keeps what is done: the next run goes on from there. A second Ctrl-C ends at once.

## Exit codes

| code | meaning |
|---|---|
| 0 | done |
| 1 | a run failed; for `diff`, the workflows differ; for `doctor` and `cache verify`, there is a problem |
| 2 | the workflow or the command line is wrong; nothing ran |
| 3 | a model or a file is missing |
| 5 | refused as unsafe |
| 130 | interrupted |

## The verbs
"""


def text() -> str:
    """The page."""
    parts = [HEAD, f"```\n$ weft\n{cli.help_text()}```\n"]
    for verb in cli.VERBS:
        parts.append(f"### weft {verb}\n\n```\n$ weft {verb} --help\n{cli.parser_of(verb).format_help()}```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    page = Path(__file__).with_name("cli.md")
    page.write_text(text(), encoding="utf-8")
    print(page, file=sys.stderr)
