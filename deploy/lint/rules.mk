# Other people's judges of binder/, the Dockerfile and the workflows, beside .venv. 10 s.
LINT      := deploy/lint
LINT_VENV := .venv-lint

.PHONY: test-deploy lock-deploy

$(LINT_VENV)/.ready: $(LINT)/requirements.txt $(LINT)/package-lock.json | $(UV)
	rm -f $@
	$(PYTHON) -m venv $(LINT_VENV)
	$(UV) pip sync --quiet --python $(LINT_VENV)/bin/python --require-hashes $<
	cp $(LINT)/package.json $(LINT)/package-lock.json $(LINT_VENV)
	if command -v npm >/dev/null; then npm ci --silent --prefix $(LINT_VENV); fi
	@touch $@

test-deploy: setup $(LINT_VENV)/.ready  ## binder/ by repo2docker, the Dockerfile by hadolint, workflows by actionlint
	$(BIN)/python -m pytest -o addopts= -q -rs tests/deploy

lock-deploy: $(UV)  ## compile deploy/lint/requirements.txt and package-lock.json anew
	cd $(LINT) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes --universal \
	  --python-version 3.11 requirements.in -o requirements.txt
	cd $(LINT) && npm install --silent --package-lock-only
