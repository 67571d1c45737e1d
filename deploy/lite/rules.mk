# The course as a static site, Python and all, for a browser's tab. 130 MB, 20 s to set up, 30 to build.
LITE      := deploy/lite
LITE_VENV := .venv-lite

.PHONY: lite test-lite lock-lite

$(LITE_VENV)/.ready: $(LITE)/requirements.txt $(LITE)/package-lock.json $(LITE)/page.txt requirements.txt | $(UV) $(VENV)/.ready
	rm -f $@
	$(PYTHON) -m venv $(LITE_VENV)
	$(UV) pip sync --quiet --python $(LITE_VENV)/bin/python --require-hashes --compile-bytecode $<
	$(BIN)/python $(LITE)/build.py fetch $(LITE_VENV)
	@touch $@

lite: setup $(LITE_VENV)/.ready  ## the course as a static site for a browser's tab, in build/lite
	$(BIN)/python $(LITE)/build.py site $(LITE_VENV) build/lite

test-lite: lite  ## that site in chromium: lessons 00 and 04; KIT_LITE_ALL=1 for all that it runs
	$(BIN)/python -m pytest -o addopts= -q -s -rs --timeout=1800 tests/lite

lock-lite: $(UV)  ## compile deploy/lite/requirements.txt and package-lock.json anew
	cd $(LITE) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 requirements.in -o requirements.txt
	cd $(LITE) && npm install --silent --package-lock-only
