"""Pictures to ask about, drawn by the kit, so that every answer can be checked.

    drawing = drawings.chart()
    drawing            # the picture
    drawing.data       # what is in it

geometry(circles=4)   a square and circles on its corners, after the cookbook's example
chart(values)         a bar chart; its values stand in no label, they have to be read
receipt()             a café's bill whose sum can be checked
letter()              a page of text
clip()                a short film in which something happens
recognise(picture)    which of them a picture is
"""

from kit.course.drawings.canvas import Drawing
from kit.course.drawings.clip import clip
from kit.course.drawings.recognise import CLIP, names, recognise
from kit.course.drawings.stills import chart, geometry, letter, receipt

__all__ = [
    "CLIP",
    "Drawing",
    "chart",
    "clip",
    "geometry",
    "letter",
    "names",
    "receipt",
    "recognise",
]
