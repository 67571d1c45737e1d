"""Commands are data: a name from a checkpoint or a reader arrives in the server as it is.

Every form of a plan is read as its own reader reads it: bash runs the scripts, with programs that
print what they are given; YAML is parsed, and then filled in as compose and Kubernetes do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kit import load_data
from kit.errors import InvalidValue, KitError
from kit.hardware import Profile, profile
from kit.launch import LaunchPlan, launch_plan
from kit.launch.router import router_plan
from kit.models import ModelSpec, model
from kit.sizing.remedies import kit_command

NASTY = {
    "a second command": "org/x; touch PWNED",
    "back-ticks": "org/x`touch PWNED`",
    "a substitution": "org/x$(touch PWNED)",
    "a variable": "org/$HOME",
    "the key": "org/${KIT_API_KEY}",
    "the key's variable and nothing else": "$KIT_API_KEY",
    "a variable and a substitution": "org/$A$(touch PWNED)",
    "a variable and quotes": 'org/$A"; touch PWNED; "',
    "a variable and back-ticks": "org/$A`touch PWNED`",
    "single quotes": "org/x'; touch PWNED; '",
    "all quotes": "org/'\"'\"'`'\"$(touch PWNED)'\"",
    "a backslash": "org/x\\",
    "a backslash and a dollar": "org/\\$HOME\\",
    "a comment": "org/x # y",
    "a variable of Kubernetes": "org/$(KIT_API_KEY)",
    "escaped for Kubernetes": "org/$$(KIT_API_KEY)$",
    "the rank's variable": "${NODE_RANK}",
    "a default of compose": "org/${A:-$(touch PWNED)}",
    "an error of compose": "org/${A:?no}",
    "braces of a template": "org/{name}{{ 7*7 }}{% raw %}",
    "a YAML tag": "org/!!python/x: {a: b}",
    "a YAML anchor": "&a *a",
    "a glob": "/*/../*?[a-z]",
    "a tilde": "~root/x",
    "history": "org/!!",
    "pipes": "org/x|touch PWNED&touch PWNED>PWNED",
    "letters beyond ASCII": "org/größe-模型-🙂",
    "only blanks between": "org/a  b   c",
}
# What no form can hold: a line's end, other control characters, what turns the writing around or
# ends a line for YAML, half a character, and what any program takes for an option.
REFUSED = [
    "org/x\ntouch PWNED", "org/x\rtouch PWNED", "org/x\0y", "org/x\x1b[31m", "org/x\x85y",
    "org/\u202egpj.sh", "org/x\u2028y", "org/x\ud800", "--host=0.0.0.0", "-x/--trust-remote-code",
    "org/a\n#SBATCH --wrap=touch", "org/x'\ntouch PWNED\n'", "org/x\tb",
]  # fmt: skip
FORMS = ("shell()", "shell", "docker", "slurm", "skypilot", "compose", "k8s")
FEW = ("slurm", "compose", "k8s")  # where a name goes through most hands; the others in long
SPY = '#!/bin/bash\nprintf "%s\\0" "$@" > words\n'
STAND_INS = {
    "sglang": SPY,
    "docker": SPY,
    "scontrol": "#!/bin/bash\necho node0\n",
    "srun": '#!/bin/bash\n[[ $1 == --label ]] && shift && exec "$@"\necho 10.0.0.1 fe80::1\n',
}
FILLED_IN = {
    "NODE_RANK": "1", "NODE0_IP": "10.0.0.1", "KIT_API_KEY": "sk-CANARY", "A": "a",
    "HOME": "/home/x", "SLURM_JOB_NODELIST": "n", "SLURM_NODEID": "1", "SKYPILOT_NODE_RANK": "1",
    "SKYPILOT_NODE_IPS": "10.0.0.1", "LWS_WORKER_INDEX": "1", "LWS_LEADER_ADDRESS": "10.0.0.1",
}  # fmt: skip
ONE, TWO = profile("9b-bf16-h100-x1"), profile("h100x16")
# The longest names are what a shell of ours is likeliest to read wrongly; no control characters.
names = st.text(
    st.one_of(
        st.sampled_from("$`'\"\\!#&|;<>(){}[]*?~=%@:, -\u00a0$$(("),
        st.characters(exclude_categories=("Cc", "Cs"), max_codepoint=0x1FFFF),
    ),
    min_size=1,
    max_size=40,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("programs")
    for name, script in STAND_INS.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    return folder


def plan_for(name: str, machine: Profile = ONE, **options: Any) -> LaunchPlan:
    served = replace(machine, model=replace(machine.model, repo=name))
    return launch_plan(served, api_key=True, served_model_name=name, **options)


def run_by_bash(script: str, bench: Path) -> list[str]:
    """The words that the script's server was started with, or why there are none."""
    for made in ("words", "PWNED"):
        (bench / made).unlink(missing_ok=True)
    env = {**FILLED_IN, "PATH": f"{bench}:/usr/bin:/bin"}
    done = subprocess.run(
        ["bash", "-c", script], env=env, cwd=bench, capture_output=True, timeout=30, check=False
    )
    if (bench / "PWNED").exists():
        return ["EXECUTED"]
    if not (bench / "words").exists():
        return ["did not start:", done.stderr.decode("utf-8", "replace")[-200:]]
    return (bench / "words").read_bytes().decode().split("\0")[:-1]


def as_compose_reads(text: str) -> str:
    """docs.docker.com/reference/compose-file/interpolation: `$$`, `$NAME`, `${NAME…}`."""

    def fill_in(found: re.Match[str]) -> str:
        if found["dollar"]:
            return "$"
        if not (name := found["plain"] or found["braced"]):
            raise ValueError(f"compose refuses the $ at {found.start()} in {text!r}")
        return FILLED_IN[name]

    pattern = r"\$(?:(?P<dollar>\$)|(?P<plain>[A-Za-z_]\w*)|\{(?P<braced>[A-Za-z_]\w*)[^}]*\}|)"
    return re.sub(pattern, fill_in, text)


def as_kubernetes_reads(text: str) -> str:
    """kubernetes/third_party/forked/golang/expansion: `$$` is `$`, `$(NAME)` is filled in where
    NAME is known, and every other `$` stays."""
    pattern = r"\$(?:(?P<dollar>\$)|\((?P<name>[^)]*)\))"
    return re.sub(pattern, lambda m: "$" if m["dollar"] else FILLED_IN.get(m["name"], m[0]), text)


def words_of(plan: LaunchPlan, form: str, bench: Path) -> list[str]:
    """The server's words, as whatever reads the form hands them on."""
    text = plan.shell(1, "10.0.0.1") if form == "shell()" else plan.form(form)
    if form == "compose":
        service = yaml.safe_load(text)["services"]["sglang"]
        return [as_compose_reads(word) for word in service["command"]]
    if form == "k8s":
        (container,) = containers(next(iter(yaml.safe_load_all(text))))
        return [as_kubernetes_reads(word) for word in container["command"]]
    script = yaml.safe_load(text)["run"] if form == "skypilot" else text
    words = run_by_bash(script, bench)
    return words[words.index(plan.image) + 1 :] if plan.image in words else ["sglang", *words]


def containers(document: dict[str, Any]) -> list[Any]:
    spec = document["spec"]
    if document["kind"] == "LeaderWorkerSet":
        return list(spec["leaderWorkerTemplate"]["workerTemplate"]["spec"]["containers"])
    return list(spec["template"]["spec"]["containers"])


def expected(plan: LaunchPlan, form: str) -> list[str]:
    """The plan's own words, with the key and what a container changes."""
    words = plan.argv(1, "10.0.0.1")
    words[words.index("--api-key") + 1] = "sk-CANARY"
    if form == "k8s" or (form in ("docker", "compose") and plan.nodes == 1):
        words[words.index("--host") + 1] = "0.0.0.0"
    return words


def differences(
    name: str, machine: Profile, bench: Path, forms: tuple[str, ...] = FORMS
) -> list[str]:
    plan = plan_for(name, machine)
    found = []
    for form in forms:
        try:
            words = words_of(plan, form, bench)
        except (ValueError, yaml.YAMLError) as problem:
            words = [f"{type(problem).__name__}: {problem}"]
        wanted = expected(plan, form)
        if words != wanted:
            found.append(f"{name!r} in {form}: {[w for w in words if w not in wanted]}")
    return found


@pytest.mark.parametrize(
    ("machine", "forms"),
    [
        pytest.param(ONE, FEW, id="one node"),
        pytest.param(ONE, FORMS, id="one node, all forms", marks=pytest.mark.trust_long),
        pytest.param(TWO, FORMS, id="two nodes, all forms", marks=pytest.mark.trust_long),
    ],
)
def test_every_form_hands_on_a_hostile_name_as_it_is(
    machine: Profile, forms: tuple[str, ...], bench: Path
) -> None:
    found = [line for name in NASTY.values() for line in differences(name, machine, bench, forms)]
    print(f"\n{len(NASTY)} names × {len(forms)} forms: {len(found)} differ")
    assert found == []


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=names)
def test_every_form_hands_on_any_name(name: str, bench: Path) -> None:
    as_it_is_or_refused(name, ONE, bench)


@pytest.mark.trust_long
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(name=names, machine=st.sampled_from([ONE, TWO]))
def test_every_form_hands_on_any_name_long(name: str, machine: Profile, bench: Path) -> None:
    as_it_is_or_refused(name, machine, bench)


def as_it_is_or_refused(name: str, machine: Profile, bench: Path) -> None:
    with suppress(InvalidValue):
        assert differences(name, machine, bench) == []


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_what_no_form_can_hold_is_refused_at_the_door(name: str) -> None:
    ways: list[Callable[[], Any]] = [
        lambda: launch_plan(replace(ONE, model=replace(ONE.model, repo=name))),
        lambda: launch_plan(replace(ONE, model=replace(ONE.model, name=name))),
        lambda: launch_plan(replace(ONE, name=name)),
        lambda: launch_plan(ONE, served_model_name=name),
        lambda: launch_plan(ONE, tool_call_parser=name),
        lambda: launch_plan(ONE, host=name, api_key=True),
        lambda: launch_plan(ONE, port=name),
    ]
    for way in ways:
        with pytest.raises(InvalidValue) as refused:
            way()
        text = str(refused.value)
        assert len(text.splitlines()) == 2
        assert text.isprintable() or set(text) & {"\n"}
        assert "\x1b" not in text


@pytest.mark.parametrize("host", ["0.0.0.0:1 -v /:/host", "$(touch PWNED)", "a b", "'", ""])
def test_a_host_is_a_host(host: str) -> None:
    with pytest.raises(InvalidValue, match="is no host"):
        launch_plan(ONE, host=host, api_key=True)


@pytest.mark.parametrize("port", [0, 65536, -1, "30000; touch PWNED", 1.5])
def test_a_port_is_a_port(port: Any) -> None:
    with pytest.raises(InvalidValue, match="is no port"):
        launch_plan(ONE, port=port)


@pytest.mark.parametrize(
    "url",
    ["http://h;touch PWNED", "http://h/$(touch PWNED)", "http://h/\nx", "http://h/`x`",
     "http://h/ x", "http://h:x", "http://$KIT_API_KEY", "http://user:sk@h"],
)  # fmt: skip
def test_a_routers_replicas_are_addresses(url: str) -> None:
    with pytest.raises(InvalidValue, match="is no address"):
        router_plan([url])
    with pytest.raises(InvalidValue, match="is no host"):
        router_plan(["http://h"], host=url)


def test_a_routers_key_is_filled_in_by_each_form(bench: Path) -> None:
    plan = router_plan(["http://h:1"], api_key=True)
    wanted = ["sk-CANARY" if word.startswith("$") else word for word in plan.argv()]
    router = yaml.safe_load(plan.form("compose"))["services"]["router"]
    assert [as_compose_reads(word) for word in router["command"]][-len(wanted) :] == wanted
    deployment = next(iter(yaml.safe_load_all(plan.form("k8s"))))
    (container,) = containers(deployment)
    assert [as_kubernetes_reads(word) for word in container["args"]] == wanted
    (bench / "python").write_text(SPY)
    (bench / "python").chmod(0o755)
    assert run_by_bash(plan.form("shell"), bench) == wanted[1:]


def test_a_config_of_a_hostile_name_goes_the_same_way(tmp_path: Path, bench: Path) -> None:
    config = load_data.json("models/9b.json")
    for name in NASTY.values():
        (tmp_path / "config.json").write_text(json.dumps({**config, "_name_or_path": name}))
        served = Profile.of(ModelSpec.from_config(tmp_path), "bf16", "h100", 1)
        plan = launch_plan(served)
        words = words_of(plan, "shell", bench)
        assert words[words.index("--model-path") + 1] == name


def test_the_names_of_jobs_and_containers_are_plain() -> None:
    named = replace(ONE, name="X; touch PWNED #" + "é" * 300)
    for form in ("slurm", "k8s", "skypilot", "docker"):
        text = launch_plan(named).form(form)
        held = re.search(r"(?:job-name=|\n  name: |\nname: |--name )(.*?)(?: \\)?\n", text)
        assert held is not None
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", held[1])


def test_a_command_that_is_proposed_may_be_pasted(bench: Path) -> None:
    """The remedies name the reader's model in a command to type."""
    (bench / "kit").write_text(SPY)
    (bench / "kit").chmod(0o755)
    for name in NASTY.values():
        words = run_by_bash(kit_command(replace(ONE, model=replace(model("9b"), name=name))), bench)
        assert words[:3] == ["command", "--model", name]


def test_a_plan_shown_as_markdown_has_no_picture_tag_or_second_cell() -> None:
    from nbconvert.filters.markdown_mistune import markdown2html_mistune

    hostile = "x`![p](http://h/1)<img src=http://h/2>|$x$`` [l](http://h/3)"
    page = markdown2html_mistune(plan_for(hostile)._repr_markdown_())
    assert re.findall(r"<(?:img|script|svg)\b", page) == []
    assert ">l</a>" not in page
    assert page.count("<td") == 3 * (page.count("<tr") - 1)


def test_a_refusal_is_two_lines_for_any_name() -> None:
    for name in (*REFUSED, "x" * 100_000 + "\n"):
        with pytest.raises(KitError) as refused:
            launch_plan(ONE, served_model_name=name)
        assert len(str(refused.value)) < 400
        assert os.linesep not in str(refused.value).replace("\n→ ", "")
