"""Profile + SGLang version → LaunchPlan: the command, and a reason for each flag."""

from kit.launch.flags import changes
from kit.launch.plan import NODE0, LaunchPlan, flag_differences, launch_plan
from kit.launch.plan_flags import HTTP_PORT, KEY_VARIABLE, LaunchOptions
from kit.launch.published_commands import source_commands
from kit.launch.router import RouterPlan, router_plan

__all__ = [
    "HTTP_PORT",
    "KEY_VARIABLE",
    "NODE0",
    "LaunchOptions",
    "LaunchPlan",
    "RouterPlan",
    "changes",
    "flag_differences",
    "launch_plan",
    "router_plan",
    "source_commands",
]
