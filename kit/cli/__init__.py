"""`kit …`: a thin door to the functions of the kit.

    main      the parser, and what ends a command
    machine   profiles size command serve stop twin diagnose
    bench     bench
    predict   predict
    plan      plan
    rehearse  rehearse
    course    chat run lab
    shared    options and output that several have

Each command prints text for a person, or JSON with --json where it prints figures.
A KitError ends it with two lines on stderr and exit code 2.
"""

from kit.cli.main import main

__all__ = ["main"]
