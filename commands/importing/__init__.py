"""Turning what other programs write into workflows: ComfyUI's two formats, and A1111's text.

    source                  which of them a file is, and its text
    graph                   a ComfyUI graph as both of its formats mean it
    api                     its API format       -> graph
    litegraph, flatten      its editor's format  -> graph: links, modes, subgraphs, group nodes
    widgets, core           its lists of values; the inputs and outputs of its own nodes
    translate, values       graph -> nodes of ours, one row of table/ a node type
    build, tidy             nodes of ours, named, with params            -> the text of a workflow
    a1111                   A1111's text         -> the text of a workflow
    export, export_rows     a workflow           -> ComfyUI's API format
    command, export_command the commands

Nothing here runs, downloads or looks up a model, and no tensor library is imported.
"""
