"""Figures: a plan, a report or a model in, a drawing and the words that say the same out."""
