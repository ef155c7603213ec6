"""Small photographs of a page: pixels to PNG."""

import io
import math

import numpy as np
from matplotlib.image import imsave

LARGEST = 96


def as_png(pixels):
    """Returns an image as PNG, scaled down by a whole number to at most about 96 pixels.

    Args:
        pixels: [H, W, 3], from 0 to 255.
    """
    step = math.ceil(max(pixels.shape[:2]) / LARGEST)
    height, width = (size // step * step for size in pixels.shape[:2])
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step, 3)
    image = blocks.mean(axis=(1, 3)).round().clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    imsave(buffer, image, format="png")
    return buffer.getvalue()
