"""The plain network in other runtimes, where they are installed.

pip install -c constraints.txt -e ".[runtimes]"
"""

import importlib.util

from tfgates.base.cores import CORES


def onnx_runtime(path):
    """Returns ONNX Runtime's function of images for a SavedModel, or None."""
    if not _installed("onnxruntime", "tf2onnx"):
        return None
    import onnxruntime
    import tensorflow as tf
    import tf2onnx

    loaded = tf.saved_model.load(str(path))
    serve = loaded.signatures["serving_default"]
    converted, _ = tf2onnx.convert.from_function(
        tf.function(lambda images: serve(images=images)),
        [tf.TensorSpec(serve.structured_input_signature[1]["images"].shape, name="images")],
        opset=18,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = CORES
    session = onnxruntime.InferenceSession(
        converted.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda images: session.run(None, {"images": images})[0]


def openvino(path, precision):
    """Returns OpenVINO's function of images for a SavedModel, or None.

    Args:
        path: of the SavedModel.
        precision: "f32" or "bf16".
    """
    if not _installed("openvino"):
        return None
    import openvino as ov

    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": CORES}
    model = ov.Core().compile_model(ov.convert_model(str(path)), "CPU", options)
    return lambda images: model([images])[0]


def _installed(*names):
    return all(importlib.util.find_spec(name) for name in names)
