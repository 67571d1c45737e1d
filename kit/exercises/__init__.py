"""The exercises of the lessons, one module a lesson; `kit.check` finds them here."""
