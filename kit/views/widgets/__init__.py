"""Widgets: what moves, streams or is clicked in a notebook."""
