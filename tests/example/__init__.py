"""The example service and the load generator as processes on loopback: what the demo measures with must be right."""
