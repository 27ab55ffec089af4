"""`python -m demo`: Accord splits real traffic on a real cluster, from nothing, with every claim measured.

`steps/` does and measures things on a cluster; the end-to-end tests use the same steps. The modules here tell the
story of them on a terminal.
"""
