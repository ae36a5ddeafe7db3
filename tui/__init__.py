"""The graph runner for the terminal: opens a workflow, shows what is cached and what would run, edits, runs, compares.

What needs no screen, each tested without one:

    session, edits, fields   the open workflow: its text, its problems, undo; changes to it; what the params pane shows
    board, eta               what is known of every node, from plans and events; how long a run will still take
    client, coalesce         the engine in its process; its events made few enough to be shown
    queue, history           runs that wait; runs that were, in SQLite
    keys, config             which key does what, and when; what the person set

What is shown: app (everything that is done), screens/ (one module a screen), widgets/ (panes), look (colours, safe
text). This process imports neither torch nor numpy: what computes lives in the engine's process.
"""
