# The real SGLang without a GPU, in an environment of its own beside .venv.
SGLANG_CPU  := deploy/sglang-cpu
SGLANG_VENV := .venv-sglang

.PHONY: sglang-cpu test-sglang lock-sglang-cpu

sglang-cpu: setup $(SGLANG_VENV)/.ready  ## the real SGLang server without a GPU, in .venv-sglang (Linux x86-64)

$(SGLANG_VENV)/.ready: $(SGLANG_CPU)/requirements.txt $(SGLANG_CPU)/torch-cpu.txt $(SGLANG_CPU)/install.sh | $(UV)
	PYTHON="$(PYTHON)" $(SGLANG_CPU)/install.sh $(SGLANG_VENV) $(UV)
	@touch $@

# The wheels of older versions that tests/sglang reads. 49 MB.
SGLANG_WHEELS_HERE := build/sglang-wheels
$(SGLANG_WHEELS_HERE)/.ready: $(SGLANG_CPU)/older-wheels.txt | $(SGLANG_VENV)/.ready
	mkdir -p $(@D)
	while read -r wheel; do echo "$$wheel" > $(@D)/wanted.txt && \
	  $(SGLANG_VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
	  --require-hashes --dest $(@D) --requirement $(@D)/wanted.txt || exit 1; done < $<
	@touch $@

test-sglang: sglang-cpu $(SGLANG_WHEELS_HERE)/.ready  ## plans by SGLang's own parser; the server, its failures and the twin beside it (some minutes)
	$(SGLANG_CPU)/python -m pytest -o addopts= -p no:cacheprovider -q -rs -s tests/sglang

lock-sglang-cpu: $(UV)  ## compile deploy/sglang-cpu/requirements.txt anew
	cd $(SGLANG_CPU) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_34 \
	  --excludes left-out.txt requirements.in -o requirements.txt
