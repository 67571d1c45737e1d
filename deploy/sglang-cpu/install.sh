#!/usr/bin/env bash
# install.sh VENV UV [REQUIREMENTS]: SGLang without a GPU, or something else that needs PyTorch's
# CPU build, into a virtual environment of its own.
set -euo pipefail
venv=$1 uv=$2 here=$(dirname "$(readlink -f "$0")")
requirements=${3:-$here/requirements.txt}
python=${PYTHON:-python3.11}

if [ "$(uname -sm)" != "Linux x86_64" ]; then
  echo "This environment is for Linux on x86-64; this is $(uname -sm)."
  echo "→ the embedded twin serves every lesson: kit lab"
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
  echo "The pinned packages are for Python 3.11; $python is not that."
  echo "→ the same make command with PYTHON=/path/to/python3.11"
  exit 1
fi

rm -f "$venv/.ready"  # an installation that is cut short is none
"$python" -m venv "$venv"
"$uv" pip sync --quiet --python "$venv/bin/python" --require-hashes \
  --compile-bytecode "$requirements"

# A machine that offers PyTorch's CPU build by its own pip settings is asked first;
# otherwise uv, which knows where PyTorch publishes it.
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
  --require-hashes --requirement "$here/torch-cpu.txt" 2>/dev/null; then
  echo "pip finds no CPU build of PyTorch with this machine's settings: taking PyTorch's own"
  "$uv" pip install --quiet --python "$venv/bin/python" --no-deps --require-hashes \
    --torch-backend cpu --requirement "$here/torch-cpu.txt"
fi
