# The site and the slides: Sphinx in an environment of its own beside .venv, and from npm what the
# pages carry (MathJax, reveal.js) and who judges them (axe). 290 MB, 20 s; then no network.
SITE      := deploy/site
SITE_VENV := .venv-site

.PHONY: site slides outputs test-site lock-site

$(SITE_VENV)/.ready: $(SITE)/requirements.txt $(SITE)/package-lock.json | $(UV)
	rm -f $@
	$(PYTHON) -m venv $(SITE_VENV)
	$(UV) pip sync --quiet --python $(SITE_VENV)/bin/python --require-hashes --compile-bytecode $<
	cp $(SITE)/package.json $(SITE)/package-lock.json $(SITE_VENV)
	npm ci --silent --prefix $(SITE_VENV)
	@touch $@

site: setup $(SITE_VENV)/.ready  ## the course to read, every lesson executed, in build/site
	$(BIN)/python $(SITE)/stage.py
	$(SITE_VENV)/bin/sphinx-build -q -j 2 -E -d build/site-trees build/site-source build/site

slides: setup $(SITE_VENV)/.ready  ## slides of each lesson with speaker's notes, in build/slides
	$(BIN)/python $(SITE)/slides.py

outputs: setup  ## the figures in the committed notebooks, as PNG, and the pages of answers
	$(BIN)/python $(SITE)/outputs.py

lock-site: $(UV)  ## compile deploy/site/requirements.txt and package-lock.json anew
	cd $(SITE) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 requirements.in -o requirements.txt
	cd $(SITE) && npm install --silent --package-lock-only

test-site: site slides  ## site and slides in chromium: links, figures, no request elsewhere, axe
	$(BIN)/python -m pytest -o addopts= -q --timeout=180 tests/site
