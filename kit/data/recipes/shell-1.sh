#!/usr/bin/env bash
# @{title}
# In an environment of its own:  uv pip install "sglang==@{sglang}"
@{reach}

@{command}
