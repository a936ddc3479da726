# Needs Python 3.11 or newer and make; everything else is brought by the set-up in project/bootstrap/.
# HOST and PORT choose where the demo listens: make demo PORT=8001
RUN := exec ./project/bootstrap/run

.PHONY: help demo cluster test soak bench lint format docs dist clean

help:
	@echo "make demo    the demo site with this machine's metrics at http://127.0.0.1:8000 (HOST=, PORT=)"
	@echo "make cluster the demo on two nodes with Redis and nginx, to kill one and see that it is not missed (PORT=)"
	@echo "make test    all checks and tests"
	@echo "make soak    two thousand clients that come and go for two minutes, and what they leave behind (LIVE_SOAK_SECONDS=)"
	@echo "make bench   what deliveries, metrics, nodes cost and where the limits are (WHAT=limits, WRITE=1: docs/performance.md)"
	@echo "make lint    ruff and mypy only"
	@echo "make format  puts the code in ruff's format"
	@echo "make docs    the reference from the code, and the documentation as pages in var/docs/html"
	@echo "make dist    the wheel and the source archive in dist/, tried out in a fresh environment"
	@echo "make clean   removes what the others made: .venv, node_modules, var, built files"

demo cluster test soak bench lint format docs dist clean:
	@$(RUN) $@
