"""The workflow that most tests of commands run."""

SUMS = {
    "format": 1,
    "name": "Sums",
    "about": "Adds two numbers and writes the sum.",
    "params": {"a": {"default": 2, "about": "the left one", "min": 0}, "b": 3.5},
    "nodes": {
        "sum": {"type": "Calculate", "a": "$a", "b": "$b"},
        "twice": {"type": "Calculate", "a": "@sum", "b": 2, "op": "multiply"},
        "save": {"type": "SaveText", "value": "@twice", "path": "sum-{a}.txt"},
    },
}
