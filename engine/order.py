"""The order in which nodes run, and the naming of cycles."""

from collections.abc import Mapping, Sequence
from heapq import heappop, heappush

from engine.graph import Link, NodeDef


def order(nodes: Mapping[str, NodeDef]) -> tuple[list[str], list[str]]:
    """(ids in running order, ids left over because they are on a cycle or behind one).

    Kahn's algorithm. Of the nodes that are ready, those that use no model go first, then those of the model in use,
    then those of the model that stands first in the file; within these, file order. So model swaps are few, and the
    order is the same on every run.
    """
    waiting: dict[str, int] = {}
    followers: dict[str, list[str]] = {}
    for node in nodes.values():
        sources = {link.node for link in node.sources}
        waiting[node.id] = len(sources)
        for source in sources:
            followers.setdefault(source, []).append(node.id)
    model_of: dict[str, int] = {}
    ready: dict[int, list[tuple[int, str]]] = {}

    def enqueue(name: str) -> None:
        node = nodes[name]
        group = model_of[name] = _model(node, nodes, model_of)
        heappush(ready.setdefault(group, []), (node.position, name))

    for name, count in waiting.items():
        if not count:
            enqueue(name)
    done: list[str] = []
    current = NO_MODEL
    while ready:
        group = NO_MODEL if NO_MODEL in ready else current if current in ready else min(ready)
        if group != NO_MODEL:
            current = group
        heap = ready[group]
        name = heappop(heap)[1]
        if not heap:
            del ready[group]
        done.append(name)
        for follower in followers.get(name, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                enqueue(follower)
    if len(done) == len(nodes):
        return done, []
    finished = set(done)
    return done, [name for name in nodes if name not in finished]


NO_MODEL = -1


def _model(node: NodeDef, nodes: Mapping[str, NodeDef], model_of: Mapping[str, int]) -> int:
    """The file position of the loader whose model a node uses, or NO_MODEL."""
    for link in node.sources:
        if link.output in nodes[link.node].cls.resident:
            return model_of[link.node]
    return node.position if node.cls.resident else NO_MODEL


def cycles(nodes: Mapping[str, NodeDef]) -> list[list[Link]]:
    """One cycle from each knot of nodes that feed each other, as the links along it."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    for node in nodes.values():
        for link in node.sources:
            if link.node in nodes:
                graph.add_edge(link.node, node.id, link=link)
    found = []
    for knot in nx.strongly_connected_components(graph):
        part = graph.subgraph(sorted(knot, key=lambda n: nodes[n].position))
        if part.number_of_edges():
            start = min(knot, key=lambda n: nodes[n].position)
            edges: Sequence[tuple[str, str]] = nx.find_cycle(part, start)
            found.append([graph.edges[a, b]["link"] for a, b in edges])
    return sorted(found, key=lambda links: nodes[links[0].node].position)
