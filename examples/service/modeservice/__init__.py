"""The example service: one program that plays all modes of a generative service, one mode a process.

`python -m modeservice` serves HTTP and counts `http_requests_total{mode,code}`, which is what Accord measures.
"""
