"""Developer tools behind the Makefile: what is generated from what, and the checks that `make check` runs."""
