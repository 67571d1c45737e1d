# The real SGLang without a GPU, in an environment of its own beside .venv.
SGLANG_CPU  := deploy/sglang-cpu
SGLANG_VENV := .venv-sglang

.PHONY: sglang-cpu test-sglang lock-sglang-cpu

sglang-cpu: setup $(SGLANG_VENV)/.ready  ## the real SGLang server without a GPU, in .venv-sglang (Linux x86-64)

$(SGLANG_VENV)/.ready: $(SGLANG_CPU)/requirements.txt $(SGLANG_CPU)/torch-cpu.txt $(SGLANG_CPU)/install.sh $(UV)
	PYTHON="$(PYTHON)" $(SGLANG_CPU)/install.sh $(SGLANG_VENV) $(UV)
	@touch $@

lock-sglang-cpu: $(UV)
	cd $(SGLANG_CPU) && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_34 \
	  --excludes left-out.txt requirements.in -o requirements.txt
