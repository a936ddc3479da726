"""What `make` runs: set-up of a fresh machine, the demo's supervisor and the list of checks.

Standard library only, Python 3.11 or newer: these modules run before anything is installed.
"""
