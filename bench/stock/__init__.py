"""The comparison: what one writes with Channels alone, following its tutorial."""
