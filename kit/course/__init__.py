"""What exists for teaching only.

lessons      which there are, run headlessly; which server one starts
check        exercises that check themselves
answers      answers of any reasonable type, compared
exercises/   the exercises of each lesson
drawings/    pictures to ask about, and what is in them
doctor/      what is here, what is missing, which lessons run on this machine
sample_logs  logs of real servers, to read where none can be started
"""

from kit.course.check import check, hint, solution

__all__ = ["check", "hint", "solution"]
