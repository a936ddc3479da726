"""The plugin's fixtures, which the package's entry point brings elsewhere."""

from live.testing.plugin import live_node, live_settings  # noqa: F401
