"""The demo's data sources: a model that `live` watches and two plugins, as worked examples of the public API."""
