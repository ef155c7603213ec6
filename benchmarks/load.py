"""One client of benchmarks/serving.py: sends a stored request again and again, without TensorFlow.

python -m benchmarks.load HOST:PORT REQUEST_FILE

For each line on stdin, a number of seconds, it sends requests for so long, one after the other, and
prints how many were answered, how many failed, and how many seconds the slowest one took.
"""

import pathlib
import sys
import time

import grpc

PREDICT = "/tensorflow.serving.PredictionService/Predict"


def main(address, file):
    request = pathlib.Path(file).read_bytes()
    with grpc.insecure_channel(address) as channel:
        predict = channel.unary_unary(PREDICT)
        for line in sys.stdin:
            end = time.monotonic() + float(line)
            answered = failed = slowest = 0
            while (start := time.monotonic()) < end:
                try:
                    predict(request, timeout=60)
                    answered += 1
                except grpc.RpcError:
                    failed += 1
                slowest = max(slowest, time.monotonic() - start)
            print(answered, failed, slowest, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
