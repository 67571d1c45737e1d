# SkyPilot in an environment of its own beside .venv: it reads the kit's SkyPilot forms. 460 MB, 20 s.
SKYPILOT      := deploy/skypilot
SKYPILOT_VENV := .venv-skypilot

.PHONY: test-skypilot lock-skypilot

$(SKYPILOT_VENV)/.ready: $(SKYPILOT)/requirements.txt | $(UV)
	rm -f $@
	$(PYTHON) -m venv $(SKYPILOT_VENV)
	$(UV) pip sync --quiet --python $(SKYPILOT_VENV)/bin/python --require-hashes --compile-bytecode $<
	@touch $@

test-skypilot: setup $(SKYPILOT_VENV)/.ready  ## the SkyPilot forms by SkyPilot's own loader, in .venv-skypilot
	$(BIN)/python -m pytest -q -rs tests/skypilot

lock-skypilot: $(UV)  ## compile deploy/skypilot/requirements.txt anew
	cd $(SKYPILOT) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 requirements.in -o requirements.txt
