"""The program `accord`, also `kubectl accord`: a folder for each command, over the modules beside them.

| module | what it is |
| --- | --- |
| `program` | parses, runs one command, turns its end into an exit code |
| `commands`, `command` | the table of commands; what a command is |
| `exits`, `errors` | what exit codes mean; how a command fails |
| `options`, `connection` | options that several commands have; cluster and namespace as kubectl finds them |
| `documents` | files and stdin, manifests among them |
| `acting` | a change of one object: looked at first, patched, said with its kubectl command |
| `selection` | objects of ours as arguments: `tp`, `tp/NAME` |
| `printer`, `tables`, `trees` | text, tables, trees, JSON and YAML, for terminals and for pipes |
| `pictures` | what the pictures of `--plot` have in common |
"""

from __future__ import annotations

from accord.cli.program import entry, main

__all__ = ["entry", "main"]
