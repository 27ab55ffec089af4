"""How long a published change takes to reach the requests: publish → first request that is routed by it.

    python tests/bench/bench_xds.py [changes]

A real Envoy, the real discovery server and real HTTP requests, all on this machine. What the API server and its watch
add is measured elsewhere.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2])]

from tests.envoy.http1 import Client  # noqa: E402
from tests.envoy.rig import World, world  # noqa: E402

ENDS = ({"fast": 100, "balanced": 0}, {"fast": 0, "balanced": 100})


async def one_change(made: World, client: Client, number: int) -> float:
    """Milliseconds until a request is answered by the other mode."""
    start = time.perf_counter()
    made.publish(ENDS[number % 2], stickySession={"enabled": False})
    wanted = ("fast", "balanced")[number % 2]
    while (await client.get()).body != wanted:
        pass
    return (time.perf_counter() - start) * 1000


async def endpoint_change(made: World, client: Client, number: int) -> float:
    """Milliseconds until another pod of the same mode answers; pods of mode `fast` take turns."""
    start = time.perf_counter()
    made.pods["fast"] = [made.pods["spare"][number % 2]]
    made.publish(ENDS[0], stickySession={"enabled": False})
    while (await client.get()).body != f"pod-{number % 2}":
        pass
    return (time.perf_counter() - start) * 1000


async def measure(changes: int) -> list[tuple[str, list[float]]]:
    """Named series of milliseconds."""
    table = []
    with tempfile.TemporaryDirectory() as directory:
        async with world(Path(directory)) as made:
            await made.start(ENDS[0], stickySession={"enabled": False})
            async with made.client() as client:
                for name, pause in (("weights, a change a second", 1.0), ("weights, one after the other", 0.0)):
                    series = []
                    for number in range(1, (changes if not pause else min(changes, 30)) + 1):
                        await asyncio.sleep(pause)
                        series.append(await one_change(made, client, number))
                    table.append((name, series))
                for number in range(2):
                    await made.add("spare")
                    made.pods["spare"][number].mode = f"pod-{number}"
                made.publish(ENDS[0], stickySession={"enabled": False})
                series = []
                for number in range(min(changes, 30)):
                    await asyncio.sleep(0.3)
                    series.append(await endpoint_change(made, client, number))
                table.append(("endpoints, three changes a second", series))
    return table


def percentile(series: list[float], share: float) -> float:
    """Nearest rank."""
    return sorted(series)[min(len(series) - 1, round(share * len(series)))]


def main() -> None:
    """Print a table."""
    table = asyncio.run(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
    print(f"{'publish → first request routed by it':<38} {'n':>4} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8}")
    for name, series in table:
        print(
            f"{name:<38} {len(series):>4} {statistics.median(series):>8.1f} {percentile(series, 0.99):>8.1f} "
            f"{max(series):>8.1f}"
        )


if __name__ == "__main__":
    main()
