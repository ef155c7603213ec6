"""Runs a SavedModel through TensorFlow's C API, without Python TensorFlow.

It is the C++ loader of TensorFlow Serving. Reads one JSON object from stdin: the folder of the
model, the files of the images, and the names of the tensors; prints the outputs as JSON.
"""

import ctypes
import importlib.util
import json
import pathlib
import sys

import numpy as np

FLOAT, STRING, BOOL = 1, 7, 10
NUMPY = {FLOAT: np.float32, BOOL: np.bool_}
SIZE_OF_STRING = 24

pointer = ctypes.c_void_p


class Output(ctypes.Structure):
    _fields_ = (("operation", pointer), ("index", ctypes.c_int))


class Library:
    """The C API; every function returns a pointer unless it is said otherwise."""

    def __init__(self):
        (folder,) = importlib.util.find_spec("tensorflow").submodule_search_locations
        self._library = ctypes.CDLL(str(pathlib.Path(folder) / "libtensorflow_cc.so.2"))
        self.status = self.TF_NewStatus()

    def __getattr__(self, name):
        function = getattr(self._library, name)
        function.restype = {
            "TF_GetCode": ctypes.c_int,
            "TF_Message": ctypes.c_char_p,
            "TF_TensorType": ctypes.c_int,
            "TF_NumDims": ctypes.c_int,
            "TF_Dim": ctypes.c_int64,
            "TF_TensorByteSize": ctypes.c_size_t,
            "TF_StringGetSize": ctypes.c_size_t,
        }.get(name, pointer)
        return function

    def check(self):
        if self.TF_GetCode(pointer(self.status)):
            sys.exit(self.TF_Message(pointer(self.status)).decode())

    def load(self, folder):
        """Returns graph and session of a SavedModel."""
        graph = pointer(self.TF_NewGraph())
        tags = (ctypes.c_char_p * 1)(b"serve")
        session = self.TF_LoadSessionFromSavedModel(
            pointer(self.TF_NewSessionOptions()),
            None,
            str(folder).encode(),
            tags,
            1,
            graph,
            None,
            pointer(self.status),
        )
        self.check()
        return graph, pointer(session)

    def output(self, graph, name):
        operation, index = name.rsplit(":", 1)
        found = self.TF_GraphOperationByName(graph, operation.encode())
        if not found:
            sys.exit(f"The graph has no operation {operation}.")
        return Output(found, int(index))

    def strings(self, values):
        """Returns a tensor of the given byte strings."""
        shape = (ctypes.c_int64 * 1)(len(values))
        size = ctypes.c_size_t(SIZE_OF_STRING * len(values))
        tensor = pointer(self.TF_AllocateTensor(STRING, shape, 1, size))
        first = self.TF_TensorData(tensor)
        for index, value in enumerate(values):
            place = pointer(first + SIZE_OF_STRING * index)
            self.TF_StringInit(place)
            self.TF_StringCopy(place, value, ctypes.c_size_t(len(value)))
        return tensor

    def to_list(self, tensor):
        """Returns a tensor as nested lists."""
        tensor = pointer(tensor)
        shape = [self.TF_Dim(tensor, axis) for axis in range(self.TF_NumDims(tensor))]
        kind, data = self.TF_TensorType(tensor), self.TF_TensorData(tensor)
        if kind != STRING:
            content = ctypes.string_at(data, self.TF_TensorByteSize(tensor))
            return np.frombuffer(content, NUMPY[kind]).reshape(shape).tolist()
        places = [pointer(data + SIZE_OF_STRING * index) for index in range(int(np.prod(shape)))]
        texts = [
            ctypes.string_at(self.TF_StringGetDataPointer(place), self.TF_StringGetSize(place))
            for place in places
        ]
        return np.array([text.decode() for text in texts]).reshape(shape).tolist()

    def run(self, loaded, inputs, outputs):
        """Runs the session: tensors by the name of where they go in, names of what comes out."""
        graph, session = loaded
        feeds = (Output * len(inputs))(*(self.output(graph, name) for name in inputs))
        values = (pointer * len(inputs))(*inputs.values())
        fetches = (Output * len(outputs))(*(self.output(graph, name) for name in outputs))
        results = (pointer * len(outputs))()
        self.TF_SessionRun(
            *(session, None),
            *(feeds, values, len(inputs)),
            *(fetches, results, len(outputs)),
            *(None, 0, None),
            pointer(self.status),
        )
        self.check()
        return [self.to_list(tensor) for tensor in results]


def main():
    asked = json.load(sys.stdin)
    library = Library()
    images = library.strings([pathlib.Path(path).read_bytes() for path in asked["images"]])
    loaded = library.load(asked["model"])
    values = library.run(loaded, {asked["input"]: images}, list(asked["outputs"].values()))
    assert "tensorflow" not in sys.modules
    print(json.dumps(dict(zip(asked["outputs"], values, strict=True))))


if __name__ == "__main__":
    main()
