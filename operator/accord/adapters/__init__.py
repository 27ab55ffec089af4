"""What the ports are made of: Kubernetes, Prometheus, Envoy. The only code that speaks to the world."""
