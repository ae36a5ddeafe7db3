"""The order in which nodes run: sources first, nodes of one model together, the same on every run; and speed."""

import json
import random
import sys
import time
from itertools import pairwise
from typing import Any

import networkx as nx
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import REGISTRY, built, flow

from engine.bind import bind
from engine.compile import check
from engine.document import from_text
from engine.keys import keys
from engine.order import order

TWO_MODELS = flow(
    {
        "one": {"type": "Load", "name": "1"},
        "two": {"type": "Load", "name": "2"},
        "a1": {"type": "Sample", "model": "@one.model", "steps": 1, "seed": 1},
        "a2": {"type": "Sample", "model": "@two.model", "steps": 1, "seed": 1},
        "b1": {"type": "Sample", "model": "@one.model", "latent": "@a1", "steps": 1, "seed": 1},
        "b2": {"type": "Sample", "model": "@two.model", "latent": "@a2", "steps": 1, "seed": 1},
        "c1": {"type": "Decode", "latent": "@b1"},
        "c2": {"type": "Decode", "latent": "@b2"},
        "s1": {"type": "Save", "image": "@c1"},
        "s2": {"type": "Save", "image": "@c2"},
    }
)


def test_s5_nodes_of_one_model_stand_together() -> None:
    assert built(TWO_MODELS).order == ("one", "a1", "b1", "c1", "s1", "two", "a2", "b2", "c2", "s2")


def test_s5_the_order_of_links_in_the_file_does_not_matter() -> None:
    nodes = {name: dict(reversed(node.items())) for name, node in TWO_MODELS["nodes"].items()}
    assert built(flow(nodes)).order == built(TWO_MODELS).order


def test_s5_without_models_it_is_the_order_of_the_file() -> None:
    nodes = {f"n{i}": {"type": "Empty"} for i in (3, 1, 2)}
    assert built(flow({**nodes, "v": {"type": "View", "value": "@n1"}})).order == ("n3", "n1", "n2", "v")


@st.composite
def random_dags(draw: st.DrawFn) -> dict[str, Any]:
    """A workflow of Mix nodes and models, its nodes in any order in the file."""
    count = draw(st.integers(1, 25))
    nodes: dict[str, Any] = {"model": {"type": "Load"}, "other": {"type": "Load"}}
    for i in range(count):
        earlier = draw(st.lists(st.integers(0, i - 1), max_size=4)) if i else []
        if draw(st.booleans()):
            model = draw(st.sampled_from(["@model.model", "@other.model"]))
            nodes[f"n{i}"] = {"type": "Mix", "images": [f"@d{i}", *(f"@n{j}" for j in earlier)]}
            nodes[f"s{i}"] = {"type": "Sample", "model": model, "steps": 1, "seed": 1}
            nodes[f"d{i}"] = {"type": "Decode", "latent": f"@s{i}"}
        else:
            nodes[f"n{i}"] = {"type": "Mix", "images": [f"@n{j}" for j in earlier]}
    return flow({name: nodes[name] for name in draw(st.permutations(list(nodes)))})


@settings(deadline=None, derandomize=True)
@given(random_dags())
def test_s1_every_node_once_and_sources_first(source: dict[str, Any]) -> None:
    workflow = built(source, list(source["nodes"]))
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(workflow.nodes)
    graph.add_edges_from((link.node, node.id) for node in workflow.nodes.values() for link in node.sources)
    assert nx.is_directed_acyclic_graph(graph)
    place = {name: index for index, name in enumerate(workflow.order)}
    assert sorted(workflow.order) == sorted(workflow.nodes)
    assert all(place[a] < place[b] for a, b in graph.edges)
    assert built(source, list(source["nodes"])).order == workflow.order


@settings(deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_g12_a_cycle_is_named_for_each_knot_and_for_nothing_else(edges: list[tuple[int, int]]) -> None:
    nodes = {f"n{i}": {"type": "Mix", "images": [f"@n{a}" for a, b in edges if b == i]} for i in range(8)}
    _, problems = check(from_text(json.dumps(flow(nodes))), REGISTRY, list(nodes))
    graph = nx.DiGraph([(f"n{a}", f"n{b}") for a, b in edges])
    knots = [k for k in nx.strongly_connected_components(graph) if graph.subgraph(k).number_of_edges()]
    assert [p.code for p in problems] == ["E-CYCLE"] * len(knots)
    for problem in problems:
        names = [part.partition(".")[0] for part in problem.what.split(" → ")]
        assert all(graph.has_edge(a, b) for a, b in pairwise(names))
        assert names[0] == names[-1]


def chain(count: int) -> str:
    """A file with a chain of `count` nodes and one that shows the last."""
    nodes: dict[str, Any] = {"n0": {"type": "Mix", "images": []}}
    nodes |= {f"n{i}": {"type": "Scale", "image": f"@n{i - 1}", "factor": 0.5} for i in range(1, count - 1)}
    names = list(nodes)
    random.Random(0).shuffle(names)
    return json.dumps(flow({name: nodes[name] for name in names} | {"v": {"type": "View", "value": f"@n{count - 2}"}}))


def test_g25_b37_a_chain_of_ten_thousand_nodes() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(400)
    try:
        workflow = built(chain(10_000))
        found = keys(bind(workflow), "", lambda node, name: [])
    finally:
        sys.setrecursionlimit(limit)
    assert workflow.order[:3] == ("n0", "n1", "n2")
    assert len(set(found.values())) == 10_000


def test_g25_a_circle_of_ten_thousand_nodes() -> None:
    nodes = {f"n{i}": {"type": "Scale", "image": f"@n{(i + 1) % 10_000}"} for i in range(10_000)}
    _, problems = check(from_text(json.dumps(flow(nodes))), REGISTRY, ["n0"])
    assert [p.code for p in problems] == ["E-CYCLE"]
    assert "… 9988 more …" in problems[0].what


def test_loading_takes_time_in_proportion_to_the_nodes() -> None:
    def seconds(count: int) -> float:
        text = chain(count)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            built(text)
            times.append(time.perf_counter() - started)
        return min(times)

    seconds(100)
    small, large = seconds(1000), seconds(8000)
    assert large < 8 * 4 * small


def test_s5_a_part_of_a_graph_has_an_order_too() -> None:
    workflow = built(TWO_MODELS)
    part = {name: workflow.nodes[name] for name in ("one", "a1")}
    assert order(part) == (["one", "a1"], [])
