"""A program: the discovery server of one replica, with one policy whose proxy has the address 127.0.0.2.

Prints the port it listens on, and ends when its standard input does.
"""

from __future__ import annotations

import asyncio
import sys

from tests.envoy.rig import Operator, free_ports, make_policy

from accord.adapters.routers.envoy import EnvoySettings
from accord.domain.traffic.observed import Endpoint

PROXY = "127.0.0.2"


async def main() -> None:
    (port,) = free_ports(1)
    operator = Operator(EnvoySettings(image="envoy", xds_port=port, xds_host="127.0.0.1"))
    pods = {"fast": (Endpoint("127.0.0.9", ready=True, pod="fast-0", port=8000),)}
    operator.router.publish(make_policy({"fast": 100}), pods, (Endpoint(PROXY, ready=True, pod="router-0"),), 7)
    await operator.start(port)
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await operator.stop()


if __name__ == "__main__":
    asyncio.run(main())
