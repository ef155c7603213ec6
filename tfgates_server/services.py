"""TensorFlow Serving's PredictionService and ModelService over gRPC."""

import contextlib
import functools

from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    prediction_service_pb2_grpc,
)

from tfgates.base.errors import UserError
from tfgates_server import config, inference
from tfgates_server.refused import Refused, invalid

# TensorFlow Serving's; beyond some 8 kB gRPC would make RESOURCE_EXHAUSTED of any refusal.
MAX_MESSAGE_BYTES = 1024


@contextlib.contextmanager
def _refusing(context):
    try:
        yield
    except Refused as error:
        context.abort(error.code, _cut(str(error)))


def _cut(message):
    content = message.encode(errors="backslashreplace")
    if len(content) <= MAX_MESSAGE_BYTES:
        return content.decode()
    return content[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "...TRUNCATED"


def _spec(request):
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
    return request.model_spec


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata; the other calls are UNIMPLEMENTED.

    Args:
        models: `Models`.
        queue: `Queue` through which requests go.
        max_images: number of images in a request; more are refused.
    """

    def __init__(self, models, queue, max_images):
        self._models = models
        self._queue = queue
        self._max_images = max_images

    def Predict(self, request, context):
        return self._answer(inference.predict, request, context)

    def Classify(self, request, context):
        return self._answer(inference.classify, request, context)

    def _answer(self, method, request, context):
        run = functools.partial(self._queue.run, context)
        with _refusing(context), self._models.use(_spec(request)) as model:
            return method(request, model, run, self._max_images)

    def GetModelMetadata(self, request, context):
        with _refusing(context):
            spec = _spec(request)
            if not request.metadata_field:
                raise invalid("GetModelMetadataRequest must specify at least one metadata_field")
            for field in request.metadata_field:
                if field != "signature_def":
                    raise invalid(f"Metadata field {field} is not supported")
            with self._models.use(spec) as model:
                return _metadata(model)


def _metadata(model):
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in model.signature_defs.items():
        definitions.signature_def[name].CopyFrom(definition)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    inference.describe(response.model_spec, model, "")
    response.metadata["signature_def"].Pack(definitions)
    return response


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus and HandleReloadConfigRequest.

    Args:
        models: `Models`.
        watcher: `Watcher` that loads them.
    """

    def __init__(self, models, watcher):
        self._models = models
        self._watcher = watcher

    def GetModelStatus(self, request, context):
        with _refusing(context):
            statuses = self._models.statuses(_spec(request))
            return get_model_status_pb2.GetModelStatusResponse(model_version_status=statuses)

    def HandleReloadConfigRequest(self, request, context):
        with _refusing(context):
            try:
                self._watcher.configure(config.models(request.config))
            except UserError as error:
                raise invalid(str(error)) from error
            return model_management_pb2.ReloadConfigResponse()
