"""One word each for what the Makefile offers: `python -m project.bootstrap demo`."""

import importlib
import sys

from project.bootstrap.steps import SetupError, error

# The function of each word, which returns the exit code.
COMMANDS = {
    "demo": "demo:main",
    "cluster": "cluster:main",
    "test": "checks:test",
    "lint": "checks:lint",
    "soak": "tasks:soak",
    "bench": "bench:main",
    "format": "tasks:format_code",
    "docs": "tasks:docs",
    "dist": "tasks:dist",
    "clean": "tasks:clean",
}


def main() -> int:
    """Runs one command; an expected failure is one message, an interrupt a quiet end."""
    if len(sys.argv) != 2 or sys.argv[1] not in COMMANDS:
        error(f"usage: python -m project.bootstrap {{{','.join(COMMANDS)}}}")
        return 2
    try:
        module, _, function = COMMANDS[sys.argv[1]].partition(":")
        return int(getattr(importlib.import_module(f"project.bootstrap.{module}"), function)())
    except SetupError as problem:
        error(str(problem))
        return 1
    except KeyboardInterrupt:
        error("\nInterrupted.")
        return 130


if __name__ == "__main__":
    sys.exit(main())
