"""TrafficPolicy: from what is observed to what shall be written.

`decide` is the entry. It reads top down: `acceptance` (may this spec be honoured?), `routing` and `membership` (which
modes may routes name now?), `shares` (who steps in for a mode without pods?), `resources` and `children` (what shall
exist?), `distribution` (does the traffic follow?), `conditions` and `readiness` (how is it told?), `status`, `events`.
"""
