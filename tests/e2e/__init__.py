"""Stories of a whole installation on a full cluster: real pods, real Envoy, real Prometheus, real load.

The steps are those of the demo (`demo/steps`); here each is asserted on its own. The cluster is one of the tests' own,
beside the demo's, and goes with the tests unless it ran before; `ACCORD_TEST_KUBECONFIG` names another one instead,
with the images from `ACCORD_IMAGE_PREFIX`.
"""
