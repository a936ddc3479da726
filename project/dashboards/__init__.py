"""Dashboards: the demo's Django app, a user of `live`'s public API like any other."""
