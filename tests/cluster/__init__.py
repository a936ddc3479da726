"""A site of several nodes with real Redis, Sentinel, HAProxy, nginx and Envoy, and what happens when parts fail."""
