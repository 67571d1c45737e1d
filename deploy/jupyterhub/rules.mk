# JupyterHub and the course in one environment beside .venv, and its proxy: a hub on one machine. 20 s.
HUB      := deploy/jupyterhub
HUB_VENV := .venv-hub

.PHONY: hub test-hub lock-hub

# The course's lock and what the hub adds to it, synced together: their common packages agree.
$(HUB_VENV)/.ready: binder/requirements.txt $(HUB)/requirements.txt $(HUB)/package-lock.json pyproject.toml | $(UV)
	rm -f $@
	$(PYTHON) -m venv $(HUB_VENV)
	$(UV) pip sync --quiet --python $(HUB_VENV)/bin/python --require-hashes --compile-bytecode \
	  binder/requirements.txt $(HUB)/requirements.txt
	$(UV) pip install --quiet --python $(HUB_VENV)/bin/python --no-deps --no-build-isolation --editable .
	cp $(HUB)/package.json $(HUB)/package-lock.json $(HUB_VENV)
	if command -v npm >/dev/null; then npm ci --silent --prefix $(HUB_VENV); fi
	@touch $@

hub: $(HUB_VENV)/.ready  ## a JupyterHub for a room on this machine, http://127.0.0.1:8080
	@test -d $(HUB_VENV)/node_modules || { rm -f $<; echo "the hub's proxy needs Node.js: install npm, then make hub"; exit 1; }
	PATH=$(abspath $(HUB_VENV)/bin):$$PATH jupyterhub -f $(HUB)/jupyterhub_config.py

test-hub: setup $(HUB_VENV)/.ready  ## five learners log in to that hub and run lesson 04 at once
	$(BIN)/python -m pytest -o addopts= -q -rs -s tests/hub

lock-hub: $(UV)  ## compile deploy/jupyterhub/requirements.txt and package-lock.json anew
	cd $(HUB) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 -c ../../requirements.txt requirements.in -o requirements.txt
	cd $(HUB) && npm install --silent --package-lock-only
