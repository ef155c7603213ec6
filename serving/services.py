"""TensorFlow Serving's PredictionService and ModelService for one loaded model."""

import contextlib

import grpc
import tensorflow as tf
from model import Refused, invalid
from tensorflow.core.example import example_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

DEFAULT_SIGNATURE = "serving_default"


def _check_spec(spec, model):
    if not spec.name:
        raise invalid("ModelSpec has no name specified.")
    if spec.HasField("version_label"):
        raise invalid(f"Unrecognized servable version label: {spec.version_label}")
    if spec.HasField("version"):
        if (spec.name, spec.version.value) != (model.name, model.version):
            request = f"Specific({spec.name}, {spec.version.value})"
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {request}")
    elif spec.name != model.name:
        raise Refused(
            grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})"
        )


@contextlib.contextmanager
def _refusing(context):
    try:
        yield
    except Refused as error:
        context.abort(error.code, str(error))


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata; the other calls are UNIMPLEMENTED."""

    def __init__(self, model):
        self._model = model

    def Predict(self, request, context):
        with _refusing(context):
            _check_spec(request.model_spec, self._model)
            signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
            if not self._model.has(signature):
                raise Refused(
                    grpc.StatusCode.FAILED_PRECONDITION,
                    f'Serving signature key "{signature}" not found.',
                )
            inputs = {name: _tensor(name, proto) for name, proto in request.inputs.items()}
            outputs = self._model.run(signature, inputs)
            for name in request.output_filter:
                if name not in outputs:
                    raise invalid(f"output tensor alias not found in signature: {name}")
            response = predict_pb2.PredictResponse()
            self._describe(response.model_spec, signature)
            for name in request.output_filter or outputs:
                response.outputs[name].CopyFrom(tf.make_tensor_proto(outputs[name].numpy()))
            return response

    def Classify(self, request, context):
        with _refusing(context):
            _check_spec(request.model_spec, self._model)
            signature = request.model_spec.signature_name or DEFAULT_SIGNATURE
            if not self._model.has(signature):
                raise invalid(f"No signature was found with the name: {signature}")
            examples = _examples(request.input)
            outputs = self._model.run(signature, {"inputs": examples})
            if set(outputs) != {"classes", "scores"}:
                raise invalid(
                    "Expected classification signature outputs classes and scores. "
                    f"Received: {', '.join(sorted(outputs))}"
                )
            response = classification_pb2.ClassificationResponse()
            self._describe(response.model_spec, signature)
            rows = zip(outputs["classes"].numpy(), outputs["scores"].numpy(), strict=True)
            for classes, scores in rows:
                answer = response.result.classifications.add()
                for label, score in zip(classes, scores, strict=True):
                    answer.classes.add(label=label.decode(), score=float(score))
            return response

    def GetModelMetadata(self, request, context):
        with _refusing(context):
            _check_spec(request.model_spec, self._model)
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != "signature_def":
                    raise invalid(f"Metadata field {field} is not supported")
            definitions = get_model_metadata_pb2.SignatureDefMap()
            for name, definition in self._model.signature_defs.items():
                definitions.signature_def[name].CopyFrom(definition)
            response = get_model_metadata_pb2.GetModelMetadataResponse()
            self._describe(response.model_spec, "")
            response.metadata["signature_def"].Pack(definitions)
            return response

    def _describe(self, spec, signature):
        spec.name, spec.signature_name = self._model.name, signature
        spec.version.value = self._model.version


def _tensor(name, proto):
    try:
        return tf.convert_to_tensor(tf.make_ndarray(proto), tf.as_dtype(proto.dtype))
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise invalid(f"Input {name} is no sound TensorProto: {error}") from error


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
    return tf.constant([example.SerializeToString() for example in examples])


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; the other calls are UNIMPLEMENTED."""

    def __init__(self, model):
        self._model = model

    def GetModelStatus(self, request, context):
        with _refusing(context):
            spec, model = request.model_spec, self._model
            if not spec.name:
                raise invalid("ModelSpec has no name specified.")
            if spec.name != model.name:
                raise Refused(
                    grpc.StatusCode.NOT_FOUND,
                    f"Could not find any versions of model {spec.name}",
                )
            if spec.HasField("version") and spec.version.value != model.version:
                raise Refused(
                    grpc.StatusCode.NOT_FOUND,
                    f"Could not find version {spec.version.value} of model {spec.name}",
                )
            response = get_model_status_pb2.GetModelStatusResponse()
            response.model_version_status.add(
                version=model.version, state=get_model_status_pb2.ModelVersionStatus.AVAILABLE
            )
            return response
