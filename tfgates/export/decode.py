"""From encoded images to raw pixels inside the served graph, good images and bad."""

import tensorflow as tf

# A photo of 64 megapixels takes 192 MB once it is decoded.
MAX_PIXELS = 64_000_000

GOOD, UNREADABLE, TOO_LARGE = range(3)
LONGEST_HEADER = 30


def decode_each(image_bytes, preprocessing):
    """Decodes images of which some may be bad: each gets its own code, neighbours are left alone.

    Args:
        image_bytes: string [N].
        preprocessing: `Preprocessing`.

    Returns:
        float32 [N, size, size, 3], zeros where an image is bad; and int32 [N], its codes.
    """
    count, size = tf.size(image_bytes, out_type=tf.int64), preprocessing.size
    nothing = tf.zeros([size, size, 3])

    def decode(index, image):
        code = judge(image)
        pixels = tf.cond(code == GOOD, lambda: preprocessing(image), lambda: nothing)
        return index, pixels, code

    decoded = tf.data.Dataset.from_tensor_slices(image_bytes).enumerate()
    decoded = decoded.map(decode, tf.data.AUTOTUNE).ignore_errors()
    # The extra element keeps the batch from being empty when every image is unreadable.
    extra = tf.data.Dataset.from_tensors((count, nothing, GOOD))
    indices, images, codes = decoded.concatenate(extra).batch(count + 1).get_single_element()
    indices = indices[:, None]
    images = tf.scatter_nd(indices, images, [count + 1, size, size, 3])
    all_codes = tf.tensor_scatter_nd_update(tf.fill([count + 1], UNREADABLE), indices, codes)
    return images[:count], all_codes[:count]


def decode_all(image_bytes, preprocessing):
    """Decodes images of which a bad one fails the request; a little faster than `decode_each`.

    Args:
        image_bytes: string [N].
        preprocessing: `Preprocessing`.

    Returns:
        float32 [N, size, size, 3]; and int32 [N], all GOOD.
    """

    def decode(image):
        rule = f"images are JPEG, PNG, BMP or WebP of at most {MAX_PIXELS} pixels"
        # Only a dependency keeps TensorFlow from decoding beside the check.
        with tf.control_dependencies([tf.debugging.assert_equal(judge(image), GOOD, rule)]):
            return preprocessing(tf.identity(image))

    shape = tf.TensorSpec([preprocessing.size, preprocessing.size, 3], tf.float32)
    images = tf.map_fn(decode, image_bytes, fn_output_signature=shape)
    return images, tf.fill(tf.shape(image_bytes), GOOD)


DECODERS = {"robust": decode_each, "strict": decode_all}


def judge(image_bytes):
    """Judges an image by its first bytes, before anything is decoded.

    Args:
        image_bytes: string scalar.

    Returns:
        int32 scalar: TOO_LARGE for more than `MAX_PIXELS` pixels; UNREADABLE for a GIF, of which
        TensorFlow decodes every frame to return the first, and no header tells their number; GOOD
        for what may be tried.
    """
    gif = tf.strings.substr(image_bytes, 0, 4) == b"GIF8"
    large = num_pixels(image_bytes) > MAX_PIXELS
    return tf.where(gif, UNREADABLE, tf.where(large, TOO_LARGE, GOOD))


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
