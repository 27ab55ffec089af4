"""What the environment says about this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Style:
    """How one mode answers: `latency` in seconds beside the work itself, `words` in the answer, and how freely they
    are drawn (`temperature` 0 takes the likeliest word every time).
    """

    latency: float
    words: int
    temperature: float


STYLES: Mapping[str, Style] = {
    "fast": Style(latency=0.002, words=6, temperature=0.0),
    "balanced": Style(latency=0.006, words=12, temperature=0.7),
    "creative": Style(latency=0.015, words=24, temperature=1.3),
}


@dataclass(frozen=True)
class Settings:
    """One process of the service. Times are in seconds."""

    mode: str
    pod: str
    port: int
    style: Style
    drain: float
    """How long a stopping process goes on serving, so that every proxy has heard that it is leaving."""
    fault_code: int
    """Status that every answer carries from the start; 0 answers normally."""
    checkpoints: Path | None
    """Where the volume with the checkpoint is mounted; None for a mode without a policy."""
    step: int
    """The checkpoint to serve; 0 for none, which answers like an untrained policy."""
    llm: str
    """URL of the model behind the mode; empty for a mode that finds its words itself."""
    cache_ttl: float
    """How long an answer of that model is reused where the request does not say."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Reads MODE, PORT, LATENCY_MS, DRAIN_SECONDS, FAULT_CODE, POD_NAME, CHECKPOINT_DIR, CHECKPOINT_STEP, LLM_URL
        and CACHE_TTL_SECONDS. A mode without a style of its own answers like `balanced`. ValueError where a number is
        none.
        """
        mode = environment.get("MODE", "fast")
        style = STYLES.get(mode, STYLES["balanced"])
        if "LATENCY_MS" in environment:
            style = Style(float(environment["LATENCY_MS"]) / 1000, style.words, style.temperature)
        return cls(
            mode=mode,
            pod=environment.get("POD_NAME") or socket.gethostname(),
            port=int(environment.get("PORT", "8080")),
            style=style,
            drain=float(environment.get("DRAIN_SECONDS", "3")),
            fault_code=int(environment.get("FAULT_CODE", "0")),
            checkpoints=Path(environment["CHECKPOINT_DIR"]) if environment.get("CHECKPOINT_DIR") else None,
            step=_step(environment.get("CHECKPOINT_STEP", "")),
            llm=environment.get("LLM_URL", ""),
            cache_ttl=float(environment.get("CACHE_TTL_SECONDS", "3600")),
        )


def _step(text: str) -> int:
    # Empty where the pod has no annotation: the downward API knows no other word for that.
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"CHECKPOINT_STEP={text!r} is not the step of a checkpoint")
    return int(text)
