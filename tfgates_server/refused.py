"""A request that TensorFlow Serving refuses, with the status that it gives."""

import grpc

# Of a status that TensorFlow reports by its number.
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refused(Exception):
    """A request that is refused.

    Args:
        code: `grpc.StatusCode`.
        message: the text of the real server.
    """

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def invalid(message):
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message):
    return Refused(grpc.StatusCode.NOT_FOUND, message)


def failed_precondition(message):
    return Refused(grpc.StatusCode.FAILED_PRECONDITION, message)
