"""Every action of every screen. The order within a screen is that of the footer: what matters most comes first."""

from tui.keys import Action

_ = Action

EVERYWHERE = (
    _("app.palette", "ctrl+p", "palette", "everything that can be done, by name"),
    _("app.keys", "question_mark", "Keys", "the keys that are live now"),
    _("app.quit", "ctrl+q", "", "leave weft"),
    _("app.theme", "", "", "other colours: dark, light, the terminal's own"),
    _("app.images", "", "", "draw pictures full screen in another way: auto, half, sixel, tgp, off"),
    _("app.interrupt", "ctrl+c", "", "says how to stop a run, and how to leave"),
)
BACK = _("screen.back", "escape", "Back", "to where you came from")

MAIN = (
    _("run.queue", "f5,ctrl+j,ctrl+enter", "Run", "queue a run of the whole workflow", ("file",)),
    _("run.stop", "x", "Stop", "stop after this step", ("running",)),
    _("model.fetch", "f", "Fetch", "fetch the model that the node lacks", ("missing",)),
    _("error.traceback", "t", "Traceback", "the traceback of a node that failed: unfold it, or fold it", ("trace",)),
    _("view.cycle", "v", "View", "rails, canvas, JSON", ("file",)),
    _("edit.value", "enter", "Edit", "edit the selected value; from the graph: go to the node's values", ("file",)),
    _("seed.random", "s", "Seed", "a new random seed", ("seed",)),
    _("compare.open", "c", "Compare", "a grid of pictures over the values of one or two params", ("file",)),
    _("compare.mark", "m", "Mark", "mark the value as an axis to compare over", ("pane:params", "field")),
    _("compare.last", "C", "", "the latest comparison"),
    _("screen.history", "H", "History", "runs that were"),
    _("find.open", "slash", "Find", "find a node, type, input or value", ("file",)),
    _("find.next", "n", "", "the next one found", ("found",)),
    _("find.previous", "N", "", "the one found before", ("found",)),
    _("run.here", "r", "To here", "run up to the selected node", ("file", "node")),
    _("run.kill", "X", "Kill", "kill the engine and start another", ("engine",)),
    _("run.times", "", "", "queue several runs, each with other seeds", ("file", "seed")),
    _("run.free", "", "", "let go of the models in memory", ("engine",)),
    _("move.up", "up,k", "", "the node or value above"),
    _("move.down", "down,j", "", "the node or value below"),
    _("move.left", "left,h", "", "along a link to what feeds the node", ("pane:graph", "file")),
    _("move.right", "right,l", "", "along a link to what the node feeds", ("pane:graph", "file")),
    _("move.first", "home", "", "the first", ("file",)),
    _("move.last", "end", "", "the last", ("file",)),
    _("move.page_up", "pageup", "", "a page up", ("file",)),
    _("move.page_down", "pagedown", "", "a page down", ("file",)),
    _("view.fit", "full_stop", "", "bring the selected node into view", ("file", "node")),
    _("edit.down", "minus", "", "nudge the value down", ("number",)),
    _("edit.up", "plus,equals_sign", "", "nudge the value up", ("number",)),
    _("edit.toggle", "space", "", "the next choice; yes or no", ("number",)),
    _("edit.reset", "backspace", "", "back to the default", ("pane:params", "file")),
    _("seed.set", "", "", "type a seed", ("seed",)),
    _("seed.mode", "S", "", "seed fixed, counting up, or random at each run", ("seed",)),
    _("edit.reset_all", "", "", "all values of the node back to their defaults", ("file", "node")),
    _("edit.undo", "u,ctrl+z", "Undo", "undo the last change", ("undo",)),
    _("edit.redo", "U,ctrl+y", "Redo", "redo what was undone", ("redo",)),
    _("node.add", "a", "Add", "add a node from the library", ("file",)),
    _("node.bypass", "b", "", "bypass the node: it hands on what it got", ("file", "node")),
    _("node.mute", "d", "", "mute the node and what needs it", ("file", "node")),
    _("node.delete", "delete", "", "delete the node and the links to it", ("pane:graph", "file", "node")),
    _("node.wire", "w", "Wire", "choose what feeds the selected input", ("pane:params", "file", "link")),
    _("file.edit", "e", "Editor", "open the file in $EDITOR at this node", ("file",)),
    _("copy.menu", "y", "Copy", "copy the command, seed, prompt, node or path", ("file",)),
    _("image.open", "p", "Picture", "the picture full screen, with what it was made from", ("image",)),
    _("image.viewer", "o", "", "the picture in the system's viewer", ("image",)),
    _("pane.graph", "1", "", "the graph"),
    _("pane.params", "2", "", "the values of the selected node"),
    _("pane.preview", "3", "", "the preview"),
    _("pane.outputs", "4", "", "what runs have saved"),
    _("pane.zoom", "z", "", "this pane alone, or all of them", ("file",)),
    _("pane.next", "tab", "", "the next pane"),
    _("pane.previous", "shift+tab", "", "the pane before"),
    _("jump.mode", "ctrl+o", "", "jump: every place gets a letter", ("file",)),
    _("screen.queue", "Q", "", "runs that wait"),
    _("screen.gallery", "G", "", "the pictures of all runs"),
    _("screen.nodes", "L", "", "the library of nodes"),
    _("screen.start", "W", "", "workflows: recent ones, and those that ship"),
    _("screen.models", "M", "", "models: found and missing"),
    _("model.missing", "", "", "the first model that the workflow lacks", ("file",)),
    _("screen.diff", "D", "", "what changed against the file, or against a run", ("file",)),
    _("screen.log", "g", "", "what the engine said"),
    _("screen.settings", "comma", "", "settings"),
    _("file.open", "O", "", "open another workflow"),
    _("file.save", "ctrl+s", "", "save", ("file",)),
    _("file.save_as", "ctrl+shift+s,f2", "", "save under another name", ("file",)),
    _("file.reload", "ctrl+r", "", "read the file again", ("file",)),
)

START = (
    _("start.open", "enter", "Open", "open the selected workflow", ("items",)),
    _("start.path", "slash", "Path", "open a file by its path"),
    _("screen.history", "H", "History", "runs that were"),
    _("screen.nodes", "L", "Nodes", "the library of nodes"),
    _("screen.settings", "comma", "Settings", "settings"),
    BACK,
)

QUEUE = (
    _("queue.earlier", "K,shift+up", "Earlier", "move the run up", ("items",)),
    _("queue.later", "J,shift+down", "Later", "move the run down", ("items",)),
    _("queue.remove", "delete,d", "Remove", "take the run out", ("items",)),
    _("queue.clear", "C", "Clear", "take all runs out that wait", ("items",)),
    _("queue.pause", "space", "Pause", "begin nothing new, or go on"),
    _("run.stop", "x", "Stop", "stop the run that goes on", ("running",)),
    BACK,
)

COMPARE = (
    _("compare.image", "enter", "Open", "the picture full screen", ("items",)),
    _("compare.pick", "p", "Pick", "its values become the workflow's", ("file", "items")),
    _("run.stop", "x", "Stop", "stop after this step; what is done stays", ("running",)),
    _("compare.mark", "m", "Mark", "mark a picture; f on another then flips between the two", ("items",)),
    _("compare.flip", "f", "Flip", "flip between the marked picture, or the one before, and it", ("items",)),
    _("compare.axes", "a", "Axes", "compare again, over other values", ("file", "items")),
    _("compare.up", "up,k", "", "the picture above", ("items",)),
    _("compare.down", "down,j", "", "the picture below", ("items",)),
    _("compare.left", "left,h", "", "the picture to the left", ("items",)),
    _("compare.right", "right,l", "", "the picture to the right", ("items",)),
    BACK,
)

HISTORY = (
    _("past.load", "enter", "Load", "open the workflow of this run, with its values, as a copy", ("items",)),
    _("past.find", "slash", "Filter", "runs that hold all these words"),
    _("past.replay", "r", "Replay", "watch the run again from its events", ("items",)),
    _("past.diff", "D", "Diff", "what differs between the marked run, or the open workflow, and it", ("items",)),
    _("past.next", "right,l", "", "the next picture of the run", ("items",)),
    _("past.previous", "left,h", "", "the picture before", ("items",)),
    _("past.gallery", "v", "Gallery", "the pictures of these runs side by side"),
    _("past.mark", "m", "Mark", "mark a run; D on another then tells what differs between the two", ("items",)),
    _("past.image", "p", "Picture", "its picture full screen", ("items",)),
    _("past.star", "s", "Star", "keep it for good, or no longer", ("items",)),
    _("past.delete", "delete", "Forget", "forget the run; its files stay", ("items",)),
    BACK,
)

GALLERY = (
    _("gallery.image", "enter", "Open", "the picture full screen, with what it was made from", ("items",)),
    _("gallery.find", "slash", "Filter", "pictures of runs that hold all these words"),
    _("gallery.up", "up,k", "", "the picture above", ("items",)),
    _("gallery.down", "down,j", "", "the picture below", ("items",)),
    _("gallery.left", "left,h", "", "the picture before", ("items",)),
    _("gallery.right", "right,l", "", "the next picture", ("items",)),
    BACK,
)

REPLAY = (
    _("replay.pause", "space", "Pause", "stand still, or go on"),
    _("replay.faster", "plus,equals_sign", "Faster", "twice as fast"),
    _("replay.slower", "minus", "Slower", "half as fast"),
    _("replay.back", "left,h", "Back", "a tenth back"),
    _("replay.forward", "right,l", "On", "a tenth on"),
    _("replay.again", "home", "Again", "from the start"),
    _("replay.end", "end", "", "to the end"),
    BACK,
)

DIFF = (
    _("diff.take", "enter", "Take back", "the open workflow gets what the other has there", ("file", "items")),
    _("diff.copy", "y", "Copy", "copy all differences"),
    BACK,
)

NODES = (
    _("nodes.add", "enter", "Add", "add a node of this type, wired to what fits", ("file", "items")),
    _("nodes.find", "slash", "Find", "narrow the list"),
    BACK,
)

MODELS = (
    _("models.use", "enter", "Use", "what reads it; from what the workflow reads: to the node", ("file", "items")),
    _("model.fetch", "f", "Fetch", "fetch a model from the hub: the selected one, or one that is named"),
    _("model.stop", "x", "Stop", "stop fetching; what came stays", ("fetching",)),
    _("models.digest", "d", "Digest", "compute the SHA-256 of its files", ("items",)),
    _("models.copy", "y", "Copy", "copy its path, or the command that fetches what is missing", ("items",)),
    _("models.find", "slash", "Filter", "models that hold all these words"),
    BACK,
)

LOG = (
    _("log.copy", "y", "Copy", "copy everything"),
    _("log.bottom", "end", "Latest", "to the latest line"),
    BACK,
)

IMAGE = (
    _("image.next", "right,l,n,f", "Next", "the next picture"),
    _("image.previous", "left,h,N", "Previous", "the picture before"),
    _("image.load", "enter", "Workflow", "open the workflow that made it, with its values, as a copy", ("items",)),
    _("image.facts", "i", "Facts", "what it was made from, or the picture alone", ("image",)),
    _("image.viewer", "o", "Viewer", "the picture in the system's viewer", ("image",)),
    _("image.copy", "y", "Copy path", "copy the path of the file", ("image",)),
    _("image.delete", "delete", "Delete", "delete the file, once you have said so", ("image",)),
    BACK,
)

SETTINGS = (
    _("settings.change", "enter,space", "Change", "the next value of the selected setting", ("items",)),
    BACK,
)

KEYS = (
    _("keys.change", "enter", "Change", "press the key that is to do it from now on", ("items",)),
    _("keys.add", "a", "Add", "press one more key that does it", ("items",)),
    _("keys.usual", "backspace", "Usual", "back to the keys that weft has for it", ("items",)),
    BACK,
)

TABLES: dict[str, tuple[Action, ...]] = {
    "main": (*MAIN, *EVERYWHERE),
    "start": (*START, *EVERYWHERE),
    "queue": (*QUEUE, *EVERYWHERE),
    "compare": (*COMPARE, *EVERYWHERE),
    "history": (*HISTORY, *EVERYWHERE),
    "gallery": (*GALLERY, *EVERYWHERE),
    "replay": (*REPLAY, *EVERYWHERE),
    "diff": (*DIFF, *EVERYWHERE),
    "nodes": (*NODES, *EVERYWHERE),
    "models": (*MODELS, *EVERYWHERE),
    "log": (*LOG, *EVERYWHERE),
    "image": (*IMAGE, *EVERYWHERE),
    "settings": (*SETTINGS, *EVERYWHERE),
    "keys": (*KEYS, *EVERYWHERE),
}
"""The actions by screen."""
