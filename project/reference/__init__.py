"""Writes docs/reference from the code: what the code says of itself, so that the pages cannot say something else.

``python -m project.reference`` writes the pages, ``python -m project.reference --check`` names those that are not what
the code says now; the tests do the latter.
"""
