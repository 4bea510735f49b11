#!/usr/bin/env bash
# Asks a running server what its OpenAPI document allows and what it does not, and fails on any 500 and any answer that the document does not name:
#   tastemaker serve --model demo/model --store scratch.db & bench/clients/schemathesis.sh http://127.0.0.1:8080
# Changes what the store holds. Takes schemathesis from PyPI.
set -euo pipefail
address=${1:-http://127.0.0.1:8080}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work"
"$work/bin/pip" install --quiet --disable-pip-version-check schemathesis
cd "$work"
"$work/bin/schemathesis" run "$address/openapi.json" --checks not_a_server_error,status_code_conformance \
    --phases coverage,fuzzing,stateful --max-examples "${EXAMPLES:-60}" --request-timeout 20
