"""Prometheus behind prometheus-api-client, made safe for a control loop: time limits, no redirects, no half answers."""
