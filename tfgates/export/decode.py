"""From encoded images to raw pixels inside the served graph, good images and bad."""

import tensorflow as tf

from tfgates.export.effort import effort

# A photo of 64 megapixels takes 192 MB once it is decoded.
MAX_PIXELS = 64_000_000
# Those of 32 photos of 16 megapixels.
MAX_REQUEST_PIXELS = 512_000_000
# A server merges requests: a small image is never refused for what others have sent.
SMALL_PIXELS = MAX_REQUEST_PIXELS // 1000

GOOD, UNREADABLE, TOO_LARGE, TOO_MANY = range(4)


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

    def admit(total, indexed):
        index, image = indexed
        code, pixels = judge(image)
        full = (total + pixels > MAX_REQUEST_PIXELS) & (pixels > SMALL_PIXELS)
        code = tf.where((code == GOOD) & full, TOO_MANY, code)
        return total + tf.where(code == GOOD, pixels, 0), (index, image, code)

    def decode(index, image, code):
        pixels = tf.cond(code == GOOD, lambda: preprocessing(image), lambda: nothing)
        return index, pixels, code

    decoded = tf.data.Dataset.from_tensor_slices(image_bytes).enumerate()
    decoded = decoded.scan(tf.constant(0, tf.int64), admit).ignore_errors()
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
    codes, pixels = tf.map_fn(judge, image_bytes, fn_output_signature=(tf.int32, tf.int64))
    checks = [
        tf.debugging.assert_equal(
            codes, GOOD, f"images are JPEG, PNG, BMP or WebP of at most {MAX_PIXELS} pixels"
        ),
        tf.debugging.assert_less_equal(
            tf.reduce_sum(pixels),
            tf.constant(MAX_REQUEST_PIXELS, tf.int64),
            f"the images of a request have at most {MAX_REQUEST_PIXELS} pixels",
        ),
    ]
    # Only a dependency keeps TensorFlow from decoding beside the checks.
    with tf.control_dependencies(checks):
        checked = tf.identity(image_bytes)
    shape = tf.TensorSpec([preprocessing.size, preprocessing.size, 3], tf.float32)
    images = tf.map_fn(preprocessing, checked, fn_output_signature=shape)
    return images, codes


DECODERS = {"robust": decode_each, "strict": decode_all}


def judge(image_bytes):
    """Judges an image by its bytes, before anything is decoded.

    Args:
        image_bytes: string scalar.

    Returns:
        int32 scalar: TOO_LARGE for an `effort` of more than `MAX_PIXELS`; UNREADABLE for a GIF, of
        which TensorFlow decodes every frame to return the first, and no header tells their number;
        GOOD for what may be tried. And its effort, int64 scalar.
    """
    gif = tf.strings.substr(image_bytes, 0, 4) == b"GIF8"
    pixels = effort(image_bytes)
    # Sides that no memory holds have a product below 0.
    large = (pixels > MAX_PIXELS) | (pixels < 0)
    return tf.where(gif, UNREADABLE, tf.where(large, TOO_LARGE, GOOD)), pixels
