"""Sharing: what a run leaves so that it can be made again elsewhere, and told apart from another.

book        what happens to the nodes of a run: digests of their outputs, and where they did other than asked
code        digests of the code that nodes run
lock        a lock: everything that a result depends on, with a digest of each step
lockfile    locks as files
picture     what a picture carries, and reading it back
bundle      a workflow, its lock and its inputs in one zip
subject     whatever can be compared or made again: a workflow, a picture, a lock, a bundle
moved       what differs between two locks
reproduce   making a lock again, and saying how close it came
"""
