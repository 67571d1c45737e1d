"""A hub for one room, on one machine: `make hub`. README.md has what it needs and what it is not.

KIT_HUB_PASSWORD   what everybody in the room types beside a name of their own; 8 characters
KIT_HUB_FOLDER     where their work lies (default: ~/qwen35-hub)
KIT_BASE_URL       an endpoint for all; else each kernel has a twin of its own
KIT_KEYS           with it: a file that the hub adds a key per learner to (kit twin --keys FILE)
"""

import os
import sys
from pathlib import Path

from kit import load_data
from kit.course.copies import lay_out
from kit.course.lessons import NOTEBOOKS, lessons
from kit.twin.keys import add_key

c = get_config()  # noqa: F821 - JupyterHub's

ENVIRONMENT = Path(sys.prefix)
FOLDER = Path(os.environ.get("KIT_HUB_FOLDER", "~/qwen35-hub")).expanduser().resolve()
FOLDER.mkdir(parents=True, exist_ok=True)
PROXY = ENVIRONMENT / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
COURSE = "course"  # a learner's lessons, in a folder of the learner's own

c.JupyterHub.bind_url = "http://127.0.0.1:8080"  # not 8000: kit.connect() looks for a server there
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(FOLDER / "cookie_secret")
c.ConfigurableHTTPProxy.command = ["node", str(PROXY)]
c.ConfigurableHTTPProxy.pid_file = str(FOLDER / "proxy.pid")

# One password for the room: whoever knows it can be anybody in it.
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ.get("KIT_HUB_PASSWORD")
c.Authenticator.allow_all = True

# Processes of one account: learners are not kept apart.
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = str(FOLDER / "{username}")
c.Spawner.cmd = [str(ENVIRONMENT / "bin" / "jupyterhub-singleuser")]
c.Spawner.notebook_dir = f"~/{COURSE}"
c.Spawner.default_url = f"/lab/tree/{lessons()[0].name}"
c.Spawner.http_timeout = c.Spawner.start_timeout = 300  # a room starts at once, and waits a little
c.Spawner.args = ["--MappingKernelManager.cull_idle_timeout=1200"]  # of a closed notebook
if getattr(os, "geteuid", lambda: 1)() == 0:
    c.Spawner.args += ["--allow-root"]

c.Spawner.env_keep = ["PATH", "LANG", "LC_ALL"]
c.Spawner.environment = {"JUPYTER_CONFIG_PATH": str(load_data.path("jupyter"))}
if "KIT_BASE_URL" in os.environ:
    c.Spawner.environment["KIT_BASE_URL"] = os.environ["KIT_BASE_URL"]


def prepare(spawner):
    """The lessons in the learner's folder, changed files kept; a twin or a key of the learner's."""
    home = FOLDER / spawner.user.name
    lay_out(NOTEBOOKS, home / COURSE, say=spawner.log.info)
    spawner.environment["KIT_TWIN_FOLDER"] = str(home / ".twin")  # not shared with the others
    if "KIT_KEYS" in os.environ:
        key = add_key(Path(os.environ["KIT_KEYS"]), spawner.user.name)
        spawner.environment["KIT_API_KEY"] = key


c.Spawner.pre_spawn_hook = prepare

# A server that nobody uses for an hour ends; what is saved stays.
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["culler"],
    }
]
CULLER = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600"]
c.JupyterHub.services = [{"name": "culler", "command": CULLER}]
