"""What decoding an image takes, read from its bytes before anything is decoded."""

import tensorflow as tf

# Encoders write some 10; a JPEG may have any number of them, each a walk over the whole picture.
MAX_SCANS = 100
SCANS_OF_A_PICTURE = 10
LONGEST_HEADER = 30
# The first bytes of a scan behind its marker: the length of its header, and 1 to 4 components.
SCAN_HEADERS = [b"\x00\x08\x01", b"\x00\x0a\x02", b"\x00\x0c\x03", b"\x00\x0e\x04"]
# Chance puts a marker into 65 kB of other data that a file holds, and no header of a scan after it.
MAX_MARKERS = 1000


def effort(image_bytes):
    """Returns the pixels that a decoder walks over.

    Args:
        image_bytes: string scalar.

    Returns:
        int64 scalar: the number of pixels of a JPEG, PNG, BMP or WebP, once for every 10 scans of a
        JPEG; the greatest number where it has more than `MAX_SCANS`; of what is no such image, any.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG without a size.
    """

    def jpeg():
        scans = num_scans(image_bytes)
        pictures = (scans + SCANS_OF_A_PICTURE - 1) // SCANS_OF_A_PICTURE
        endless = tf.constant(tf.int64.max, tf.int64)
        return tf.where(scans > MAX_SCANS, endless, num_pixels(image_bytes) * pictures)

    is_jpeg = tf.strings.substr(image_bytes, 0, 2) == b"\xff\xd8"
    return tf.cond(is_jpeg, jpeg, lambda: num_pixels(image_bytes))


def num_scans(jpeg):
    """Counts the scans of a JPEG.

    Args:
        jpeg: string scalar, its bytes.

    Returns:
        int64 scalar, at least 1; more than `MAX_SCANS` where it has them or hides them.
    """
    parts = tf.strings.split(jpeg, b"\xff\xda", maxsplit=MAX_MARKERS)
    headers = tf.strings.substr(parts[1:], 0, 3)
    found = tf.reduce_any(headers[:, None] == SCAN_HEADERS, axis=1)
    scans = tf.math.count_nonzero(found)
    hidden = tf.size(parts) > MAX_MARKERS
    return tf.where(hidden, tf.constant(MAX_MARKERS, tf.int64), tf.maximum(scans, 1))


def num_pixels(image_bytes):
    """Reads the number of pixels of a JPEG, PNG, BMP or WebP from its header.

    Args:
        image_bytes: string scalar.

    Returns:
        int64 scalar; of what is no such image, any number.

    Raises:
        tf.errors.InvalidArgumentError: a JPEG without a size.
    """
    header = tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=LONGEST_HEADER)
    header = tf.cast(header, tf.int64)

    def number(first, count, little=True):
        powers = [256**power for power in range(count)]
        return tf.reduce_sum(header[first : first + count] * powers[:: 1 if little else -1])

    def starts(text, first=0):
        return tf.reduce_all(header[first : first + len(text)] == list(text))

    def webp():
        simple = (number(26, 2) % 2**14) * (number(28, 2) % 2**14)
        bits = number(21, 4)
        lossless = (bits % 2**14 + 1) * (bits // 2**14 % 2**14 + 1)
        extended = (number(24, 3) + 1) * (number(27, 3) + 1)
        return tf.where(
            starts(b"VP8X", 12), extended, tf.where(starts(b"VP8L", 12), lossless, simple)
        )

    def jpeg():
        return tf.reduce_prod(tf.cast(tf.image.extract_jpeg_shape(image_bytes)[:2], tf.int64))

    def signed(first):
        value = number(first, 4)
        return tf.where(value < 2**31, value, 2**32 - value)

    return tf.case(
        [
            (starts(b"\xff\xd8"), jpeg),
            (starts(b"\x89PNG"), lambda: number(16, 4, little=False) * number(20, 4, little=False)),
            (starts(b"BM"), lambda: signed(18) * signed(22)),
            (starts(b"RIFF"), webp),
        ],
        default=lambda: tf.constant(0, tf.int64),
    )
