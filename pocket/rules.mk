# The environment that makes and checks the pocket model, beside .venv.
POCKET_VENV ?= .venv-pocket

.PHONY: pocket test-pocket lock-pocket

pocket: $(POCKET_VENV)/.ready  ## what makes the pocket model, in .venv-pocket (Linux x86-64); see pocket/README.md

$(POCKET_VENV)/.ready: pocket/requirements.txt $(SGLANG_CPU)/torch-cpu.txt $(SGLANG_CPU)/install.sh | $(UV)
	PYTHON="$(PYTHON)" $(SGLANG_CPU)/install.sh $(POCKET_VENV) $(UV) pocket/requirements.txt
	@touch $@

test-pocket: pocket  ## the pocket model's dialogues, making and weights; transformers and llama.cpp side by side
	$(POCKET_VENV)/bin/python -m pytest -o addopts= -p no:cacheprovider -q tests/pocket

lock-pocket: $(UV)  ## compile pocket/requirements.txt anew
	cd pocket && $(abspath $(UV)) pip compile --quiet --no-header --generate-hashes \
	  --python-version 3.11 --python-platform x86_64-manylinux_2_34 requirements.in -o requirements.txt
