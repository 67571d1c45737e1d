"""Which server a lesson starts: a real one where that is possible, else a recording of one."""

from __future__ import annotations

from kit.course.sample_logs import Recording, recorded
from kit.hardware import profile
from kit.launch import LaunchPlan, launch_plan
from kit.server import command_for, cpu
from kit.server.command import ServerCommand
from kit.server.processes import free_port
from kit.views.frontend import allows_stdin

RECORDED = "recorded"


def what_to_start(asked: str = "") -> LaunchPlan | ServerCommand | Recording:
    """What a lesson can start here; a printed line says why.

    `asked` is a profile, "cpu-pocket", "cpu-tiny" or "recorded"; empty, the pocket model where
    SGLang for CPUs is installed and a reader is there to watch, else a recording. Raises
    UnknownName; LaunchError where it cannot be started.
    """
    if asked == RECORDED:
        print("A recorded start, as asked.")
        return recorded("start")
    name = asked or (cpu.POCKET if cpu.installed() and allows_stdin() else "")
    if name in cpu.MODELS:
        print(f"{name}: {cpu.MODELS[name]}.")
        return command_for(name, port=free_port())
    if name:
        print(f"{name}, as asked: the real thing.")
        return launch_plan(profile(name), metrics=True)
    why = "nobody watches" if cpu.installed() else "make sglang-cpu has not been run"
    print(f'A recorded start: {why}. Start the real SGLang with serve = "{cpu.POCKET}".')
    return recorded("start")
