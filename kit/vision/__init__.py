"""Images and video → content parts of a message, and what they cost in tokens.

    picture = vision.image("chart.png", max_pixels=1280 * 720)
    picture.tokens                                     # known before anything is sent
    messages = [vision.message("What is the highest bar?", picture)]

Whatever the source (a path, bytes, a Pillow image, an array, a figure, a URL), what is sent is
the picture itself inside the request: checked, upright, and never an address that would make
the server read its own disk. The parts, left to right:

    load_image  a path, an address, bytes, an array … → a checked, upright, opaque picture
    image_part  a picture → an ImagePart: sized, encoded, with its cost
    avi, mp4    Motion JPEG files, written and read; how long an MP4 is, and how large
    video       a video → a VideoPart, or its frames as images
"""

from kit.vision.image_part import ImagePart, image, message
from kit.vision.video import VideoPart, video

__all__ = ["ImagePart", "VideoPart", "image", "message", "video"]
