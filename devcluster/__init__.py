"""A real Kubernetes on one Linux machine, built from packages: for the demo and the tests.

Standard library only, and no syntax newer than Python 3.9: `python3 -m devcluster` runs on a bare
machine, before any virtual environment exists. `README.md` beside this file says what is built and why.
"""
