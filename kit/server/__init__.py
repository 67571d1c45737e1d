"""A server's whole life: preflight, start, follow, diagnose, adopt, stop.

command    what is started, as a dataclass: of a launch plan, as a process or in a container
cpu        the released SGLang on this machine's CPU
rehearse   one rank of a launch plan as a command
preflight  what would fail before anything is started
server     start, follow, adopt, stop
log        SGLang's start-up log → events and sizes
failures   a log → what went wrong, and what to change
registry   which servers this kit started on this machine
processes  commands, process groups and ports of this machine
supervisor ends a server with whoever started it
"""

from kit.server.failures import diagnose
from kit.server.server import Server, adopt, command_for, launch, running, start, stop

__all__ = ["Server", "adopt", "command_for", "diagnose", "launch", "running", "start", "stop"]
