"""Strategy RoundRobin: the modes in a fixed cycle, each exactly as often as its share says.

Envoy's own weighted round robin adds up 1/weight in floating point; rounding swaps two neighbours now and then (at
60/30/10 around every 300th request), and then ten requests in a row are not split 6/3/1. So a few lines of Lua choose
the mode, by the smooth weighted round robin that nginx uses: whole numbers, as even as can be, with the period
sum/gcd. Each worker thread of a proxy goes through a cycle of its own, and a change of the routes begins a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd

from accord.adapters.routers.envoy.xds import Json, canonical, extension, typed

LUA = "envoy.filters.http.lua"
SLOT_HEADER = "x-accord-slot"
"""Request header that carries the choice from the script to `weighted_clusters.header_name`, and no further."""
_PER_ROUTE = "envoy.extensions.filters.http.lua.v3.LuaPerRoute"


_SCRIPT_NAME = "cycle"
_SCRIPT = f"""
local name = nil
local credit = {{}}
function envoy_on_request(request)
  local cycle = request:metadata():get("cycle")
  if cycle == nil then return end
  local step, slot = cycle["step"], cycle["slot"]
  if name ~= cycle["name"] then
    name = cycle["name"]
    for mode = 1, #step do credit[mode] = 0 end
  end
  local best, period = 1, 0
  for mode = 1, #step do
    period = period + step[mode]
    credit[mode] = credit[mode] + step[mode]
    if credit[mode] > credit[best] then best = mode end
  end
  credit[best] = credit[best] - period
  request:headers():replace("{SLOT_HEADER}", slot[best])
  request:clearRouteCache()
end
"""


def cycle_filter() -> Json:
    """The HTTP filter with the script. It is off, but for the routes that ask for it."""
    script = {_SCRIPT_NAME: {"inline_string": _SCRIPT}}
    return {**extension(LUA, "envoy.extensions.filters.http.lua.v3.Lua", source_codes=script), "disabled": True}


def in_cycle(weights: Mapping[str, int]) -> Json:
    """What a route needs to go through these modes: whole weights in the order of its weighted clusters. Routes with
    the same weights share one cycle.
    """
    divisor = gcd(*weights.values())
    starts = [sum(list(weights.values())[:index]) for index in range(len(weights))]
    cycle = {
        "name": canonical(weights),
        "step": [weight // divisor for weight in weights.values()],
        "slot": [str(start) for start in starts],
    }
    return {
        "request_headers_to_remove": [SLOT_HEADER],
        "metadata": {"filter_metadata": {LUA: {"cycle": cycle}}},
        "typed_per_filter_config": {LUA: typed(_PER_ROUTE, name=_SCRIPT_NAME)},
    }
