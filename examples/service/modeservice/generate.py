"""A language model the size of a postcard: words drawn from what followed them in one paragraph.

It stands for the model behind a real service: a little computing for each answer, more of it and less predictable
the more creative the mode.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

_TEXT = """
the traffic goes where the policy says and the policy says what the team wrote down in git so the team reads the
policy and the service follows it the fast mode answers in a moment the balanced mode takes a little time and the
creative mode takes its time and finds a word that nobody asked for the router counts the requests and the operator
reads the counts and puts the split right when somebody moved it and nobody has to wake up in the night for it
"""
_CORPUS = _TEXT.split()


def _successors() -> dict[str, Counter[str]]:
    followers: dict[str, Counter[str]] = defaultdict(Counter)
    for word, follower in zip(_CORPUS, [*_CORPUS[1:], _CORPUS[0]], strict=True):
        followers[word][follower] += 1
    return dict(followers)


_SUCCESSORS = _successors()


def generate(prompt: str, words: int, temperature: float, seed: int) -> str:
    """`words` words that follow the last known word of `prompt`. The same arguments give the same answer."""
    chance = random.Random(seed)
    known = [word for word in prompt.lower().split() if word in _SUCCESSORS]
    word = known[-1] if known else "the"
    answer = []
    for _ in range(words):
        candidates = _SUCCESSORS[word]
        if temperature <= 0:
            word = min(candidates, key=lambda candidate: (-candidates[candidate], candidate))
        else:
            weights = [math.exp(math.log(count) / temperature) for count in candidates.values()]
            word = chance.choices(list(candidates), weights)[0]
        answer.append(word)
    return " ".join(answer)
