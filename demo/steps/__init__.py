"""What the demo and the end-to-end tests do on a cluster, and how they measure what happened.

cluster      the API server, with objects as plain dicts
environment  images, chart and example service, from nothing or on a cluster that is given
world        handles on everything that runs: policy, operator, load, Prometheus
load         load pods and their books
experiments  a claim each: do something, measure, return an `Outcome`
"""
