"""Figures of plans, reports and models: a drawing, and a table that says the same."""
