"""Older files: each migration has a pair of files, which this test finds by itself."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from toys import built, told

from engine.migrate import FORMAT, MIGRATIONS, migrate

PAIRS = sorted((Path(__file__).parent / "migrations").glob("*.before.json"))


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return value


@pytest.mark.parametrize("before", PAIRS, ids=lambda path: path.name.partition(".")[0])
def test_a_pair(before: Path) -> None:
    old = read(before)
    kept = copy.deepcopy(old)
    new = migrate(old, old["format"])
    after = before.with_name(before.name.replace(".before.", ".after."))
    assert json.dumps(new, indent=2) == json.dumps(read(after), indent=2)
    assert old == kept
    assert list(built(before.read_text(encoding="utf-8")).nodes) == list(new["nodes"])


def test_every_older_format_has_a_migration_and_a_pair() -> None:
    assert sorted(MIGRATIONS) == list(range(FORMAT))
    assert {read(path)["format"] for path in PAIRS} == set(range(FORMAT))


def test_the_current_format_stays_as_it_is() -> None:
    data = {"format": FORMAT, "nodes": {}}
    assert migrate(data, FORMAT) is data


DAMAGED: dict[str, tuple[Any, str]] = {
    "no_nodes": (None, '"nodes" must be a list, not null'),
    "nodes_in_an_object": ({}, '"nodes" must be a list, not {}'),
    "a_node_is_text": (["x"], 'node 1 must be an object, not "x"'),
    "no_id": ([{"type": "Load"}], '"id" of node 1 must be text, not null'),
    "an_id_is_a_number": ([{"id": 3}], '"id" of node 1 must be text, not 3'),
    "b13_an_id_twice": ([{"id": "a"}, {"id": "a"}], 'node "a" stands twice'),
    "inputs_in_a_list": ([{"id": "a", "inputs": []}], '"inputs" of node 1 must be an object, not []'),
    "an_input_called_type": ([{"id": "a", "type": "Load", "inputs": {"type": 1}}], 'node 1 has an input called "type"'),
    "a_link_to_a_number": ([{"id": "a", "inputs": {"x": {"from": 3}}}], '"from" must be text, not 3'),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged(case: str) -> None:
    nodes, what = DAMAGED[case]
    value = {"format": 0} if nodes is None else {"format": 0, "nodes": nodes}
    assert told(value) == [f"E-SHAPE wf: damaged for a file of format 0: {what}"]


def test_problems_of_an_older_file_are_placed_as_near_as_can_be() -> None:
    text = '{"format": 0,\n "nodes": [{"id": "a", "type": "Lod"}]}'
    assert told(text) == ['E-NODE wf.json:2:11 a.type: "Lod" is not a node type; did you mean "Load"?']
