# Needs Python 3.11 or newer and make; everything else is brought by the set-up in project/bootstrap/.
# HOST and PORT choose where the demo listens: make demo PORT=8001
RUN := exec ./project/bootstrap/run

.PHONY: help demo cluster test bench lint format dist clean

help:
	@echo "make demo    the demo site with this machine's metrics at http://127.0.0.1:8000 (HOST=, PORT=)"
	@echo "make cluster the demo on two nodes with Redis and nginx, to kill one and see that it is not missed (PORT=)"
	@echo "make test    all checks and tests"
	@echo "make bench   cost and latency of a delivery, beside a stock Channels consumer (WRITE=1 writes docs/performance.md)"
	@echo "make lint    ruff and mypy only"
	@echo "make format  puts the code in ruff's format"
	@echo "make dist    the wheel and the source archive in dist/"
	@echo "make clean   removes what the others made: .venv, node_modules, var, built files"

demo cluster test bench lint format dist clean:
	@$(RUN) $@
