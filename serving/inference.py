"""Predict and Classify: a request and a model -> the model's answer, or a refusal."""

import grpc
import numpy as np
import tensorflow as tf
from refused import Refused, invalid
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import classification_pb2, predict_pb2

DEFAULT_SIGNATURE = "serving_default"


def predict(request, model, run):
    """Answers a PredictRequest.

    Args:
        request: `PredictRequest`.
        model: `Model`.
        run: function (model, signature, inputs) -> outputs, as `Model.run` with checked inputs.

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
    inputs = {name: _array(name, proto) for name, proto in request.inputs.items()}
    names = _selected(request.output_filter, definition.outputs)
    model.check(signature, inputs)
    # All outputs are computed: TensorFlow would optimise the graph anew for each selection.
    outputs = run(model, signature, inputs)
    response = predict_pb2.PredictResponse()
    describe(response.model_spec, model, signature)
    for name in names:
        _fill(response.outputs[name], outputs[name])
    return response


def classify(request, model, run):
    """Answers a ClassificationRequest; arguments and errors are those of `predict`."""
    signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
    if signature not in model.signature_defs:
        raise invalid(f"No signature was found with the name: {signature}")
    _check_classifies(model.signature_defs[signature])
    inputs = {"inputs": _examples(request.input)}
    model.check(signature, inputs)
    outputs = run(model, signature, inputs)
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


def _array(name, proto):
    try:
        if any(dim.size < 0 for dim in proto.tensor_shape.dim):
            raise ValueError("A tensor has no size below 0.")
        array = tf.make_ndarray(proto)
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise invalid(f"tensor parsing error: {name}") from error
    return array


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


def _examples(request_input):
    kind = request_input.WhichOneof("kind")
    if kind == "example_list":
        examples = list(request_input.example_list.examples)
    elif kind == "example_list_with_context":
        both = request_input.example_list_with_context
        examples = [example_pb2.Example() for _ in both.examples]
        for merged, example in zip(examples, both.examples, strict=True):
            merged.CopyFrom(both.context)
            merged.MergeFrom(example)
    else:
        examples = []
    if not examples:
        raise invalid("Input is empty.")
    return np.array([example.SerializeToString() for example in examples], object)
