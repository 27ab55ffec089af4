"""A stand-in for the language model behind a mode: a service of its own, that can be told to fail.

`python -m llm` serves HTTP. The modes that are given its address (`LLM_URL`) ask it for every answer that they do not
have in their cache.
"""
