"""The exercises of the lessons, one module per lesson; `kit.course.check` finds them here."""
