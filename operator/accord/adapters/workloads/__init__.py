"""Ways to run attempts: implementations of the port `accord.ports.workload.Workload`, a folder each."""
