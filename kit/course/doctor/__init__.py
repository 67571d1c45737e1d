"""What is here, what is missing, and which lessons run: `kit doctor`.

machine   one finding; what the checks ask this machine, in one place
packages  Python and the installed packages, against what the kit declares and the lock
gpus      the GPUs, and what of the family they can serve
checks    everything else: ports, disk, memory, proxies, a server, docker, SGLang
in_page   the same for a browser's page
report    all of it, within a time limit; the lessons; a panel for a page
"""

from kit.course.doctor.machine import Finding, Machine
from kit.course.doctor.report import Report, examine, panel

__all__ = ["Finding", "Machine", "Report", "examine", "panel"]
