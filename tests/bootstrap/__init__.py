"""Tests of the set-up, the demo's supervisor, the agent, the package and the files for deployment."""
