"""When Python looks for garbage among what lives long: as a workflow is opened, not while a person waits for a key.

A full search goes through every object there is, which takes some 30 ms for the app alone and 100 ms with 2,000 nodes
open, and comes when it likes. What is there once a workflow is open stays there, so it is left out of the searches that
follow until the next one is opened. Reference counts free what they can of it all the same.
"""

import gc

YOUNG = 2000
"""Objects made since the last search after which the young ones are searched."""


def settle() -> None:
    """Look for garbage once, and leave what lives now out of the searches that follow."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
