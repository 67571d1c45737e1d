# SGLang's router in an environment of its own beside .venv: its tests put it before twins. 140 MB, 10 s.
ROUTER      := deploy/router
ROUTER_VENV := .venv-router

.PHONY: test-router lock-router

$(ROUTER_VENV)/.ready: $(ROUTER)/requirements.txt | $(UV)
	rm -f $@
	$(PYTHON) -m venv $(ROUTER_VENV)
	$(UV) pip sync --quiet --python $(ROUTER_VENV)/bin/python --require-hashes --compile-bytecode $<
	@touch $@

test-router: setup $(ROUTER_VENV)/.ready  ## SGLang's own router before two twins, in .venv-router
	$(BIN)/python -m pytest -o addopts= -q -rs tests/router

lock-router: $(UV)  ## compile deploy/router/requirements.txt anew
	cd $(ROUTER) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 requirements.in -o requirements.txt
