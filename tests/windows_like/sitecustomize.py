"""A Python without what only Linux, or only POSIX, has. Python imports this file by itself where
its folder is on PYTHONPATH, so that processes started by a process are alike.

Gone: the modules of POSIX, /proc, epoll and poll, fork, process groups, users, most signals, and
signal handlers of asyncio. `select` waits in steps of Windows' timer, 15.6 ms. The standard library
and psutil have code of their own for Windows: they are loaded first and keep what they have, and
the few names stay that they or numpy ask for later (os.WNOHANG, os.statvfs, os.uname, AF_UNIX).
"""

import asyncio
import asyncio.unix_events
import ctypes
import getpass  # noqa: F401
import math
import multiprocessing.connection
import os
import select
import selectors
import signal
import socketserver
import ssl  # noqa: F401
import subprocess
import sys
import tempfile  # noqa: F401
import time
import uuid  # noqa: F401
import zipfile  # noqa: F401

import psutil  # noqa: F401

TICK_S = 0.0156
MODULES = "fcntl grp posix_ipc prctl pty pwd readline resource spwd syslog termios tty uvloop"
OF_OS = """
    chown chroot ctermid fchdir fchmod fchown fork forkpty getegid geteuid getgid getgroups
    getloadavg getpgid getpgrp getpriority getresuid getsid getuid killpg lchown major mkfifo
    mknod nice openpty pidfd_open pipe2 posix_spawn posix_spawnp pread preadv pwrite pwritev
    sched_getaffinity sched_setaffinity sched_yield sendfile setegid seteuid setgid setgroups
    setpgid setpriority setsid setuid sync sysconf wait wait3 wait4 waitid memfd_create
    fdatasync
"""
OF_SIGNAL = """
    SIGALRM SIGBUS SIGCHLD SIGCONT SIGHUP SIGIO SIGKILL SIGPIPE SIGPROF SIGPWR SIGQUIT SIGSTOP
    SIGSYS SIGTRAP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGUSR1 SIGUSR2 SIGVTALRM SIGWINCH SIGXCPU
    SIGXFSZ alarm getitimer pause pthread_kill pthread_sigmask setitimer siginterrupt
    sigpending sigwait
"""


def _no_proc(event, arguments):
    if event != "open" or not str(arguments[0]).startswith("/proc"):
        return
    frame = sys._getframe(1)
    while frame:
        if "psutil" in frame.f_code.co_filename:
            return
        frame = frame.f_back
    raise FileNotFoundError(2, "No such file or directory", arguments[0])


def _coarse(read, write, error, timeout=None, _select=select.select):
    """`select` that wakes at what has come, or at a tick of the timer."""
    if timeout:
        now = time.monotonic()
        timeout = math.ceil((now + timeout) / TICK_S) * TICK_S - now
    return _select(read, write, error, timeout)


class _Library(ctypes.CDLL):
    """Loaded by its name, and not None for this program itself."""

    def __init__(self, name, *args, **kwargs):
        if name is None:
            raise TypeError("argument of type 'NoneType' is not iterable")
        super().__init__(name, *args, **kwargs)


def _no_handler(self, *_):
    raise NotImplementedError


def _hide():
    selectors.DefaultSelector = selectors.SelectSelector
    subprocess._PopenSelector = selectors.SelectSelector
    multiprocessing.connection._WaitSelector = selectors.SelectSelector
    socketserver._ServerSelector = selectors.SelectSelector
    killed = signal.SIGKILL
    subprocess.Popen.kill = lambda self: self.send_signal(killed)  # Windows ends it otherwise
    for name in MODULES.split():
        sys.modules[name] = None
    for module, names in ((os, OF_OS), (signal, OF_SIGNAL)):
        for name in names.split():
            if hasattr(module, name):
                delattr(module, name)
    os.process_cpu_count = os.cpu_count  # Python 3.13's asks sched_getaffinity where it was there
    gone = [(select, "epoll"), (select, "poll"), (selectors, "EpollSelector")]
    for module, name in [*gone, (selectors, "PollSelector")]:
        delattr(module, name)
    select.select = _coarse
    selectors.SelectSelector._select = staticmethod(_coarse)
    asyncio.unix_events._UnixSelectorEventLoop.add_signal_handler = _no_handler
    ctypes.CDLL = _Library
    sys.addaudithook(_no_proc)


_hide()
