#!/bin/sh
# Asks a running server for its state, its metrics and an answer: serving/smoke.sh HOST photo.jpg
set -eu
curl -fsS "http://$1:8501/v1/models/gated" | grep '"state": "AVAILABLE"'
curl -fsS "http://$1:8501/monitoring/prometheus/metrics" | grep -m 1 tensorflow
python "$(dirname "$0")/client.py" --server="$1:8500" "$2"
