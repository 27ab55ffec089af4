"""The load generator: virtual users that ask the example service and keep the books.

`python -m loadgen --url http://…` prints one JSON object a line: `progress` now and then, `report` at the end. It
counts answers by mode, failures by kind, and answers of a sticky session that came from another mode than before.
Point it only at services inside the same cluster or on loopback.
"""
