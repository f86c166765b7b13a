"""JPEGs of too many scans, or cut off: libjpeg fills what is missing, and Pillow does not say so.

Where the pixels of a file end before their time, libjpeg decodes zeros: the rest is grey, or
blurred if the file is progressive. A file that has all pixels stays the same picture with further
bytes behind them; one that is cut off does not.
"""

import re

import numpy as np
from PIL import Image

FORMATS = ("JPEG", "MPO")  # MPO: of phones
SCAN = re.compile(rb"\xff\xda\0(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)")
MAX_SCANS = 100  # a progressive file has about ten, and each goes through all pixels
GREY = 128
START = b"\xff\xda"  # of the pixels
END = b"\xff\xd9"
MORE = bytes(range(1, 255))  # no marker begins in it


def may_be_cut_off(image: Image.Image) -> bool:
    """Whether a decoded picture ends in grey, or is progressive: most need no second look."""
    last = image.getpixel((image.width - 1, image.height - 1))
    is_grey = np.abs(np.array(last, int) - GREY).max() <= 1
    return bool(is_grey or "progressive" in image.info)


def with_more_pixels(content: bytes) -> bytes:
    """A JPEG file with bytes behind the pixels of its first picture."""
    place = 2
    while not content.startswith(START, place):  # a segment may hold a picture, too
        marker, kind = content[place : place + 2]
        is_segment = marker == 0xFF and kind not in (0x00, 0xFF)
        size = int.from_bytes(content[place + 2 : place + 4])
        place += 2 + size if is_segment else 1
    end = content.find(END, place)
    return content[:end] + MORE + content[end:]
