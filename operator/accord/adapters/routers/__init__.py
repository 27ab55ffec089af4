"""What carries the traffic: one folder for each `router.type`, each an implementation of `accord.ports.router`."""
