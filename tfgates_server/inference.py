"""Predict and Classify: a request and a model -> the model's answer, or a refusal."""

import math

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

from tfgates_server.refused import Refused, invalid
from tfgates_server.tensors import check_repeated, header, to_array

DEFAULT_SIGNATURE = "serving_default"


def predict(request, model, run, max_images=math.inf):
    """Answers a PredictRequest.

    Args:
        request: `PredictRequest`.
        model: `Model`.
        run: function (model, signature, inputs) -> outputs, as `Model.run` with checked inputs.
        max_images: number of images in a request; more are refused before anything is made of them.

    Returns:
        `PredictResponse`.

    Raises:
        Refused: what is asked for, and with which inputs, is not the model's.
    """
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if signature not in model.signature_defs:
        raise Refused(
            grpc.StatusCode.FAILED_PRECONDITION,
            f'Serving signature key "{signature}" not found.',
        )
    definition = model.signature_defs[signature]
    _check_names(request.inputs, definition.inputs)
    for name, proto in request.inputs.items():
        dtype, shape = header(name, proto)
        model.check(signature, name, dtype, shape)
        _check_count(shape[0] if shape else 1, max_images)
    inputs = {name: to_array(name, proto) for name, proto in request.inputs.items()}
    names = _selected(request.output_filter, definition.outputs)
    # All outputs are computed: TensorFlow would optimise the graph anew for each selection.
    outputs = run(model, signature, inputs)
    response = predict_pb2.PredictResponse()
    describe(response.model_spec, model, signature)
    for name in names:
        _fill(response.outputs[name], outputs[name])
    return response


def classify(request, model, run, max_images=math.inf):
    """Answers a ClassificationRequest; arguments and errors are those of `predict`."""
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if signature not in model.signature_defs:
        raise invalid(f"No signature was found with the name: {signature}")
    _check_classifies(model.signature_defs[signature])
    examples = _examples(request.input, max_images)
    model.check(signature, "inputs", tf.string, examples.shape)
    outputs = run(model, signature, {"inputs": examples})
    response = classification_pb2.ClassificationResponse()
    describe(response.model_spec, model, signature)
    for classes, scores in zip(outputs["classes"], outputs["scores"], strict=True):
        answer = response.result.classifications.add()
        for label, score in zip(classes, scores, strict=True):
            answer.classes.add(label=label.decode(), score=float(score))
    return response


def describe(spec, model, signature):
    """Fills in the spec of a response: which model answered."""
    spec.name, spec.signature_name = model.name, signature
    spec.version.value = model.version


def _check_names(inputs, expected):
    sent, wanted = sorted(inputs), sorted(expected)
    missing = [name for name in wanted if name not in inputs]
    if len(sent) != len(wanted):
        extra = [name for name in sent if name not in expected]
        raise invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({{{','.join(sent)}}}) != len({{{','.join(wanted)}}}). "
            f"Sent extra: {{{','.join(extra)}}}. Missing but required: {{{','.join(missing)}}}."
        )
    if missing:
        raise invalid(
            f"Signature input alias: {missing[0]}(feed name: {expected[missing[0]].name}) not "
            "found in request and no default value provided. Inputs expected to be in the request "
            f"{{{','.join(sent)}}}, or default input alias set: "
        )


def _check_classifies(definition):
    if len(definition.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(definition.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(definition.outputs)}")
    if "inputs" not in definition.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {definition}")
    if set(definition.outputs) != {"classes", "scores"}:
        raise invalid(
            "Expected classification signature outputs to contain at least one of "
            f'"classes" or "scores". Signature was: {definition}'
        )


def _check_count(count, most):
    if count > most:
        raise invalid(
            f"A request has at most --max_images_per_request={most} images. Received: {count}. "
            "Send fewer at a time, or start the server with a greater number."
        )


def _fill(proto, array):
    # A tenth of the time that `tf.make_tensor_proto` takes, which is that of a small network.
    proto.dtype = tf.as_dtype(array.dtype).as_datatype_enum
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    if array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
    else:
        proto.tensor_content = array.tobytes()


def _selected(output_filter, outputs):
    for index, name in enumerate(output_filter):
        if name not in outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name} "
                f"Outputs expected to be in the set {{{','.join(sorted(outputs))}}}."
            )
        if name in output_filter[:index]:
            raise invalid(f"duplicate output tensor alias: {name}")
    return output_filter or outputs


def _examples(request_input, max_images):
    with_context = request_input.example_list_with_context
    kind = request_input.WhichOneof("kind")
    listed = with_context if kind == "example_list_with_context" else request_input.example_list
    examples = listed.examples
    _check_count(len(examples), max_images)
    if not examples:
        raise invalid("Input is empty.")
    if kind == "example_list_with_context":
        size = len(examples) * with_context.context.ByteSize()
        check_repeated("The context of all examples", size)
        examples = [_merged(with_context.context, example) for example in examples]
    return np.array([example.SerializeToString() for example in examples], object)


def _merged(context, example):
    merged = example_pb2.Example()
    merged.CopyFrom(context)
    merged.MergeFrom(example)
    return merged
