"""The verbs of the command line, a module each; cli.py imports the one that runs."""
