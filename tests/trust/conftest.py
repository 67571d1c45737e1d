"""What a stranger can do to us, tried: faults, hostile input, secrets, life and death.

`make test` runs the short forms; `make trust` those marked `trust_long`, and prints their counts.
"""
