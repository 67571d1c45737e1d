"""Python runs this file by itself when its folder is on PYTHONPATH, in every process of the server.

It does nothing unless SGLang was told to use its CPU engine.
"""

import os

if os.environ.get("SGLANG_USE_CPU_ENGINE") == "1":
    import adapt

    adapt.install()
