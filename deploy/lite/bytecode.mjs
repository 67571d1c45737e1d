// Compiles what a page imports until its first answer and figure, with the page's own Python:
//
//     node bytecode.mjs PYODIDE OUT
//
// PYODIDE is the site's folder of that name, OUT gets the bytecode: library/… for the modules in
// Pyodide's zip, site/… for those in wheels. It does not depend on dates: no check against a source.

import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, out] = process.argv.slice(2).map((path) => resolve(path));
const { loadPyodide } = await import(pathToFileURL(`${folder}/pyodide.mjs`));
const python = await loadPyodide({
  indexURL: folder,
  packages: ["ipython", "qwen35-serving-kit"],
  env: { PYTHONWARNINGS: "ignore", HOME: "/home/pyodide" },
  stdout: () => {},
});
python.FS.mkdir("/out");
python.FS.mount(python.FS.filesystems.NODEFS, { root: out }, "/out");
const compile = `
import pyodide_kernel, piplite.piplite
import bdb, IPython.core.logger
import anyio._backends._asyncio, jinja2.sandbox, openai, plotly.graph_objects
import kit
from kit import asgi_client
from kit.course.doctor import panel
from kit.twin import app, chat_completions, inside, server, tokenizer
from kit.views import StreamView, ledger, progress
from kit.views.widgets import page_widgets

kit.connect, kit.launch_plan, kit.explain, kit.bench, kit.fold
client = openai.OpenAI(api_key="-", base_url="http://-")
client.chat.completions, client.models, openai.AsyncOpenAI
ledger(kit.plan(kit.profile("h200x8")))

import importlib.util, sys
from importlib._bootstrap_external import _code_to_hash_pyc
from pathlib import Path

ROOTS = {"library": "/lib/python314.zip/", "site": "/lib/python3.14/site-packages/"}
for module in list(sys.modules.values()):
    spec = getattr(module, "__spec__", None)
    path = getattr(spec, "origin", None) or ""
    for name, root in ROOTS.items():
        if path.startswith(root) and path.endswith(".py"):
            source = spec.loader.get_data(path)
            to = Path("/out", name, path.removeprefix(root) + "c")
            to.parent.mkdir(parents=True, exist_ok=True)
            code = compile(source, path, "exec", dont_inherit=True)
            to.write_bytes(_code_to_hash_pyc(code, importlib.util.source_hash(source), False))
`;
try {
  python.runPython(compile);
} catch (error) {
  console.error(error.message);
  process.exit(1);
}
