"""What people, packs and older versions of ComfyUI do to a canvas, without changing what it means."""

from typing import Any

UI = dict[str, Any]


def node(ui: UI, name: int) -> dict[str, Any]:
    """The node of an id."""
    return next(n for n in ui["nodes"] if n["id"] == name)


def fresh(ui: UI) -> int:
    """An id that is free."""
    ui["last_node_id"] += 1
    return int(ui["last_node_id"])


def link(ui: UI, source: int, slot: int, target: int, place: int, kind: str) -> int:
    """A new link, at both of its ends."""
    ui["last_link_id"] += 1
    name = int(ui["last_link_id"])
    ui["links"].append([name, source, slot, target, place, kind])
    node(ui, target)["inputs"][place]["link"] = name
    return name


def add(
    ui: UI, kind: str, inputs: list[tuple[str, str]] = (), outputs: list[str] = (), values: Any = (), **more: Any
) -> int:
    """A node of the canvas."""
    name = fresh(ui)
    ui["nodes"].append(
        {
            "id": name, "type": kind, "pos": [0, 0], "size": [10, 10], "flags": {}, "order": 0, "mode": 0,
            "inputs": [{"name": n, "type": t, "link": None} for n, t in inputs],
            "outputs": [{"name": t, "type": t, "links": []} for t in outputs],
            "properties": {}, "widgets_values": values if isinstance(values, dict) else list(values), **more,
        }
    )  # fmt: skip
    return name


def reroutes(ui: UI) -> None:
    """Two reroutes on every link."""
    for old in list(ui["links"]):
        name, source, slot, target, place, kind = old
        ui["links"].remove(old)
        first = add(ui, "Reroute", [("", "*")], [kind])
        second = add(ui, "Reroute", [("", "*")], [kind])
        link(ui, source, slot, first, 0, kind)
        link(ui, first, 0, second, 0, kind)
        link(ui, second, 0, target, place, kind)
        assert name


def drawn_reroutes(ui: UI) -> None:
    """The newer reroutes, which are drawn and nothing else."""
    ui["extra"]["reroutes"] = [{"id": 1, "pos": [5, 5], "linkIds": [1]}]
    ui["extra"]["linkExtensions"] = [{"id": 1, "parentId": 1}]


def primitive(ui: UI, widget: str, owners: list[int], value: Any, dropped: bool = False) -> None:
    """A value that a primitive node gives to a widget of several nodes.

    dropped: these nodes leave the widget out of their values, where others keep its place.
    """
    source = add(ui, "PrimitiveNode", [], ["*"], [value, "fixed"])
    for owner in owners:
        target = node(ui, owner)
        target["inputs"].append({"name": widget, "type": "*", "link": None, "widget": {"name": widget}})
        at = next(i for i, v in enumerate(target["widgets_values"]) if v == value)
        if dropped:
            del target["widgets_values"][at]
        else:
            target["widgets_values"][at] = 1 if isinstance(value, int) else "an older text"
        link(ui, source, 0, owner, len(target["inputs"]) - 1, "*")


def notes_and_groups(ui: UI) -> None:
    """What a person wrote on the canvas."""
    add(ui, "Note", values=["the seed is\na good one"])
    add(ui, "MarkdownNote", values=["# where to get the model"])
    ui["groups"] = [{"title": "Prompts", "bounding": [0, 0, 10, 10], "color": "#3f789e"}]


def muted_branch(ui: UI, image: int) -> None:
    """A second save, muted."""
    save = add(ui, "SaveImage", [("images", "IMAGE")], [], ["muted"], mode=2)
    link(ui, image, 0, save, 0, "IMAGE")


def bypassed_lora(ui: UI) -> None:
    """A LoRA on every link of the first checkpoint, bypassed."""
    loader = next(n["id"] for n in ui["nodes"] if n["type"] == "CheckpointLoaderSimple")
    lora = add(ui, "LoraLoader", [("model", "MODEL"), ("clip", "CLIP")], ["MODEL", "CLIP"], ["none", 1.0, 1.0], mode=4)
    for old in ui["links"]:
        if old[1] == loader and old[2] in (0, 1):
            old[1] = lora
    link(ui, loader, 0, lora, 0, "MODEL")
    link(ui, loader, 1, lora, 1, "CLIP")


def set_and_get(ui: UI) -> None:
    """Every VAE by way of a pair of nodes that have a name in common."""
    links = [old for old in ui["links"] if old[5] == "VAE"]
    setter = add(ui, "SetNode", [("VAE", "VAE")], ["*"], ["the vae"])
    link(ui, links[0][1], links[0][2], setter, 0, "VAE")
    for old in links:
        getter = add(ui, "GetNode", [], ["VAE"], ["the vae"])
        old[1], old[2] = getter, 0


def everywhere(ui: UI) -> None:
    """Every VAE by the pack Use Everywhere, which leaves what it did in extra."""
    links = [old for old in ui["links"] if old[5] == "VAE"]
    add(ui, "Anything Everywhere", [("anything", "*")], [], [])
    ui["extra"]["ue_links"] = [
        {"downstream": old[3], "downstream_slot": old[4], "upstream": str(old[1]), "upstream_slot": old[2],
         "controller": 99, "type": "VAE"}
        for old in links
    ]  # fmt: skip
    for old in links:
        ui["links"].remove(old)
        node(ui, old[3])["inputs"][old[4]]["link"] = None


def version_1(ui: UI) -> None:
    """The schema 1.0, with links as objects."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    ui["links"] = [dict(zip(names, old, strict=True)) | {"parentId": 1} for old in ui["links"]]
    ui["version"] = 1
    ui["state"] = {"lastNodeId": ui.pop("last_node_id"), "lastLinkId": ui.pop("last_link_id")}
    ui["reroutes"] = [{"id": 1, "pos": [1, 1], "linkIds": []}]


def into_subgraph(ui: UI, inner: list[int], instance: int, proxies: list[tuple[int, str]] = ()) -> None:
    """Put some nodes into a subgraph at a node of this id; `proxies` are widgets that it shows and sets."""
    place = "2f1c6a0e-5d9d-4d5a-9b39-3b2f3a0c9d21" if instance < 1000 else f"sub-{instance}"
    inside = [n for n in ui["nodes"] if n["id"] in inner]
    ui["nodes"] = [n for n in ui["nodes"] if n["id"] not in inner]
    inputs: list[dict[str, Any]] = []
    outputs: list[dict[str, Any]] = []
    inner_links: list[dict[str, Any]] = []
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    kept, by_source = [], {}
    for old in ui["links"]:
        new = dict(zip(names, old, strict=True))
        if old[1] in inner and old[3] in inner:
            inner_links.append(new)
        elif old[3] in inner:
            slot = len(inputs)
            inputs.append({"name": f"in{slot}", "type": old[5], "linkIds": [old[0]]})
            inner_links.append(new | {"origin_id": -10, "origin_slot": slot})
            kept.append([old[0] + 1000, old[1], old[2], instance, slot, old[5]])
        elif old[1] in inner:
            key = (old[1], old[2])
            if key not in by_source:
                by_source[key] = len(outputs)
                outputs.append({"name": old[5], "type": old[5], "linkIds": [old[0] + 2000]})
                inner_links.append(new | {"id": old[0] + 2000, "target_id": -20, "target_slot": by_source[key]})
            kept.append([old[0], instance, by_source[key], old[3], old[4], old[5]])
        else:
            kept.append(old)
    values = []
    for owner, widget in proxies:
        target = next(n for n in inside if n["id"] == owner)
        at = WIDGETS[target["type"]].index(widget)
        values.append(target["widgets_values"][at])
        target["widgets_values"][at] = 1 if isinstance(values[-1], int) else "an inner text"
    ui["links"] = kept
    ui["nodes"].append(
        {
            "id": instance, "type": place, "pos": [0, 0], "size": [10, 10], "flags": {}, "order": 0, "mode": 0,
            "inputs": [{"name": i["name"], "type": i["type"], "link": k[0]}
                       for i, k in zip(inputs, [k for k in kept if k[3] == instance], strict=True)],
            "outputs": [{"name": o["name"], "type": o["type"], "links": []} for o in outputs],
            "properties": {"proxyWidgets": [[str(owner), widget] for owner, widget in proxies]},
            "widgets_values": values,
        }
    )  # fmt: skip
    definition = {
        "id": place, "version": 1, "name": "Sampling", "inputNode": {"id": -10}, "outputNode": {"id": -20},
        "inputs": inputs, "outputs": outputs, "nodes": inside, "links": inner_links, "groups": [],
    }  # fmt: skip
    ui.setdefault("definitions", {}).setdefault("subgraphs", []).append(definition)


WIDGETS = {
    "KSampler": ["seed", "control", "steps", "cfg", "sampler_name", "scheduler", "denoise"],
    "CLIPTextEncode": ["text"],
}
"""Where a widget stands among the values of the nodes that the subgraphs of the tests hold."""


def group_node(ui: UI, inner: list[int], instance: int) -> None:
    """Put some nodes into a group node, as came before subgraphs: inputs and values are gathered in order."""
    inside = [n for i in inner for n in ui["nodes"] if n["id"] == i]
    ui["nodes"] = [n for n in ui["nodes"] if n["id"] not in inner]
    number = {n["id"]: i for i, n in enumerate(inside)}
    inner_links = [[number[o[1]], o[2], number[o[3]], o[4], o[1], o[5]] for o in ui["links"]
                   if o[1] in inner and o[3] in inner]  # fmt: skip
    taken = {(o[2], o[3]) for o in inner_links}
    sockets, seen, place = [], set(), {}
    for i, one in enumerate(inside):
        for k, socket in enumerate(one["inputs"]):
            if (i, k) in taken:
                continue
            name = socket["name"] if socket["name"] not in seen else f"{one['type']} {socket['name']}"
            seen.add(name)
            place[i, k] = len(sockets)
            sockets.append({"name": name, "type": socket["type"], "link": None})
    used = {(o[0], o[1]) for o in inner_links}
    out = [(i, k) for i, one in enumerate(inside) for k in range(len(one["outputs"])) if (i, k) not in used]
    kept = []
    for old in ui["links"]:
        if old[1] in inner and old[3] in inner:
            continue
        if old[3] in inner:
            at = place[number[old[3]], old[4]]
            sockets[at]["link"] = old[0]
            kept.append([*old[:3], instance, at, old[5]])
        elif old[1] in inner:
            kept.append([old[0], instance, out.index((number[old[1]], old[2])), *old[3:]])
        else:
            kept.append(old)
    ui["links"] = kept
    values = [v for one in inside for v in one["widgets_values"]]
    kinds = [inside[i]["outputs"][k]["type"] for i, k in out]
    ui["nodes"].append(
        {
            "id": instance, "type": "workflow>Mine", "pos": [0, 0], "size": [10, 10], "flags": {}, "order": 0,
            "mode": 0, "inputs": sockets, "outputs": [{"name": t, "type": t, "links": []} for t in kinds],
            "properties": {}, "widgets_values": values,
        }
    )  # fmt: skip
    stored = [{k: v for k, v in one.items() if k != "id"} | {"index": i} for i, one in enumerate(inside)]
    for one in stored:
        one["widgets_values"] = [1 if type(v) is int else v for v in one["widgets_values"]]
    ui["extra"]["groupNodes"] = {"Mine": {"nodes": stored, "links": inner_links, "external": []}}
