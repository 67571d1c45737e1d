"""Dialogues to learn from, drawn with a seed; what is asked in a test is never in a lesson.

words      lists to fill sentences with, and who belongs to which split
dialogue   one question with its history, its tools and the right completion
lessons    the course's questions, and those beyond it
sums       percentages and sums, with their working
tools      functions to choose from, calls, results
session    several dialogues in one sequence of tokens, for training
"""
