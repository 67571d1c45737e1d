#!/usr/bin/env bash
# @{title}
# In an environment of its own:  uv pip install "sglang==@{sglang}"
# From elsewhere:  ssh -N -L @{port}:localhost:@{port} THIS_MACHINE   then http://localhost:@{port}/v1
set -euo pipefail

@{command}
