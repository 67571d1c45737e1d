"""The command builder offers what runs, says why the rest does not, and writes what is planned."""

import re
import subprocess
from dataclasses import replace

import pytest

from kit.course.lessons import what_to_start
from kit.course.sample_logs import recorded, recordings
from kit.errors import InvalidValue, UnknownName
from kit.hardware import SGLANG, profile, profiles
from kit.launch import launch_plan
from kit.launch.render import FORMS
from kit.server.failures import diagnose
from kit.sizing import plan
from kit.views import builder, startup, tips
from kit.views.live import Output
from kit.views.widgets.builder_model import Selection, resolve, versions
from kit.views.widgets.startup import startup_phases

# What the two source pages print as the ranks of the 397B in BF16.
PUBLISHED_RANKS = {"h100": 16, "h200": 8, "b200": 8}

SELECTIONS = {
    "the default": Selection(),
    "small": Selection(model="4b", gpu="rtx4090", count=1, mtp=False),
    "amd": Selection(gpu="mi300x"),
    "cpu": Selection(model="35b", gpu="xeon", count=3, mtp=False),
    "two machines": Selection(gpu="h100", count=16, nodes=2),
    "old": Selection(sglang="0.5.13"),
}
EVERY = pytest.mark.parametrize("name", SELECTIONS)


@pytest.mark.parametrize(("gpu", "ranks"), PUBLISHED_RANKS.items())
def test_too_few_gpus_become_as_many_as_the_pages_print(gpu, ranks):
    made = resolve(Selection(gpu=gpu, count=8))
    assert made.plan.profile.tp_size == ranks
    assert made.plan.nodes == (2 if ranks == 16 else 1)


def test_what_was_replaced_is_said_with_its_reason():
    changed = resolve(Selection(gpu="h100", count=8)).changed
    assert "because 8 does not fit" in changed[0]
    assert "1 machine holds 8 H100 at most" in changed[1]


@EVERY
def test_every_choice_that_is_offered_leads_to_a_plan_that_fits(name):
    now = resolve(SELECTIONS[name])
    assert not now.changed
    for field in now.fields:
        for choice in field.choices:
            if not choice.reason:
                made = resolve(replace(now.selection, **{field.name: choice.value}))
                assert made.plan.memory.fits
                assert made.field(field.name).value == choice.value, (field.name, made.changed)


@EVERY
def test_every_choice_that_is_not_offered_says_why_and_is_refused(name):
    chosen = builder()
    chosen._now = resolve(SELECTIONS[name])
    for field in chosen.resolved.fields:
        for choice in field.choices:
            if choice.reason:
                with pytest.raises(InvalidValue, match=r"possible: \S"):
                    chosen.choose(**{field.name: choice.value})
        if field.locked and not field.value:
            with pytest.raises(InvalidValue, match="cannot be on"):
                chosen.choose(**{field.name: True})


def test_the_reason_names_what_is_missing():
    precision = resolve(Selection()).field("precision")
    assert "compute capability 10.0; H200 has 9.0" in precision.choice("nvfp4").reason
    assert (
        "no published checkpoint"
        in resolve(Selection(model="9b")).field("precision").choice("fp8").reason
    )


@pytest.mark.parametrize("name", ["h200x8", "h100x16", "b200x8", "397b-fp8-h200x8"])
def test_it_begins_with_the_very_plan_of_the_profile(name):
    assert builder(name).plan.flags == launch_plan(profile(name)).flags


def test_it_comes_back_to_the_profile_it_began_with():
    chosen = builder("b200x8")
    chosen.choose(gpu="h200")
    chosen.choose(gpu="b200")
    assert ("--mem-fraction-static", "0.85") in {flag.words for flag in chosen.plan.flags}


@pytest.mark.parametrize("p", profiles()[::7], ids=lambda p: p.name)
def test_a_named_profile_is_kept_where_it_fits_and_replaced_where_not(p):
    made = resolve(Selection.of(p), p)
    kept = made.plan.profile.title == p.title
    assert kept == plan(p).fits, made.changed


def test_versions_are_newest_first_and_reach_from_the_pages_to_now():
    known = versions()
    assert (known[0], known[-1]) == (SGLANG, "0.5.9")
    assert known.index("0.5.14") < known.index("0.5.9")


@pytest.mark.parametrize("gpu", ["h200", "h100"])
def test_what_is_copied_is_sound_bash(gpu):
    chosen = builder()
    chosen.choose(gpu=gpu)
    for form in ("shell", "docker", "slurm"):
        chosen.choose(form=form)
        checked = subprocess.run(
            ["bash", "-n"], input=chosen.command, text=True, capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr


def test_two_machines_get_a_command_each():
    chosen = builder("h100x16")
    assert chosen.command.count("sglang serve") == 2
    assert "--node-rank 0" in chosen.command
    assert "--node-rank 1" in chosen.command


def test_a_mistyped_name_is_an_error_with_the_nearest():
    with pytest.raises(UnknownName):
        builder().choose(gpus="h100")
    with pytest.raises(UnknownName, match="GPU"):
        builder().choose(gpu="h1000")


@pytest.mark.parametrize("form", FORMS)
def test_words_and_page_hold_the_command_and_each_flags_reason(form):
    chosen = builder()
    chosen.choose(form=form)
    chosen.controls()
    bundle = chosen.bundle()
    assert bundle["text/plain"] == chosen.command
    assert chosen.command.rstrip() in bundle["text/markdown"]
    for flag in chosen.plan.flags:
        assert flag.reason in bundle["text/markdown"]
        assert flag.reason in bundle["text/html"].replace("&#x27;", "'")
    assert str(chosen.plan.provenance) in bundle["text/markdown"]


def test_each_flag_of_the_command_carries_its_reason_as_a_tooltip():
    chosen = builder()
    chosen.controls()
    command = chosen.bundle()["text/html"].split("</pre>")[0]
    assert command.count('<span title="') == len(chosen.plan.flags)


def test_headless_it_is_text_and_no_widget(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", shown.append)
    monkeypatch.setattr(Output, "show", lambda _, what: shown.append(what))
    builder()._ipython_display_()
    (only,) = shown
    assert set(only) == {"text/markdown", "text/plain"}


def test_a_change_in_the_page_redraws_form_and_command():
    chosen = builder()
    widget = chosen.controls()
    widget._handle_custom_msg({"kind": "choose", "name": "gpu", "value": "h100"}, [])
    assert widget.command == chosen.command
    assert "--tp-size 16" in widget.command
    assert widget.form["changed"]
    widget._handle_custom_msg({"kind": "choose", "name": "precision", "value": "nvfp4"}, [])
    assert chosen.resolved.selection.precision == "bf16"
    assert "compute capability" in widget.form["changed"][0]


def test_every_control_has_a_label():
    form = builder()._form()
    assert all(field["label"] for field in form["fields"])
    assert len({field["label"] for field in form["fields"]}) == len(form["fields"])


def test_a_recorded_start_reaches_ready_in_the_order_in_which_sglang_prints():
    phases = startup_phases(recorded("start").text)
    times = [p.at_s for p in phases if p.at_s is not None]
    assert times == sorted(times)
    assert phases[-1].about == "ready"
    assert phases[-1].at_s
    assert [p.about for p in phases if p.at_s is None] == [
        "fetching the checkpoint",  # a folder on this disk
        "capturing CUDA graphs",  # a CPU
    ]


def test_a_recorded_start_is_shown_and_nothing_is_started(capsys):
    choice = what_to_start("recorded")
    assert startup(choice) is None
    assert choice.name == "h200-rank397-mtp"


def test_a_recorded_rehearsal_reports_its_ledger_beside_the_plan():
    beside, alone = recorded("h200-rank397-mtp").report(), recorded("start").report()
    assert "CUDA graphs" in beside
    assert "planned: computed" in beside
    assert "reported: measured" in beside
    assert re.search(r"KV tokens +–", alone)


@pytest.mark.parametrize("name", [n for n, one in recordings().items() if not one.went_well])
def test_every_recorded_failure_is_diagnosed_as_what_was_done(name):
    assert [finding.id for finding in diagnose(recorded(name).text)] == [name]


def test_a_recording_names_no_folder_of_the_machine_it_was_made_on():
    for one in recordings().values():
        assert "/root" not in one.text
        assert "/home/you/" in one.text


def test_every_flag_that_a_tip_advises_now_is_one_that_sglang_has():
    table = tips()
    assert len(table.rows) == 10
    assert "--mm-feature-transport cuda_ipc" in table.markdown
