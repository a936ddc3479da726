"""Streaming plugins and data sources: server code that makes frames while somebody watches, once in the cluster."""
