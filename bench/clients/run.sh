#!/usr/bin/env bash
# Runs the published clients, unchanged, against a server of this program over a small made-up catalogue:
#   bench/clients/run.sh target/release/tastemaker
# Takes the clients from PyPI and npm; ends what it starts.
set -euo pipefail
program=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"
export TASTEMAKER_CACHE="$work/cache" TASTEMAKER_OFFLINE=1

python3 - <<'PYTHON'
words = [
    "space ship captain star planet engine orbit alien film about the stars",
    "kitchen bread grandmother soup oven flour cooking with my garden table",
    "detective murder night city rain witness trial letter police case",
    "horse river cattle ranch dust saddle sheriff canyon winter train",
]
with open("items.csv", "w") as items, open("events.csv", "w") as events:
    items.write("item_id,title\n")
    events.write("user_id,item_id,timestamp\n")
    for item in range(80):
        all_words = words[item % 4].split()
        title = " ".join(all_words[(item // 4 + n) % len(all_words)] for n in range(5))
        items.write(f"i{item},Film {item} {title}\n")
    for user in range(60):
        for n in range(8):
            events.write(f"u{user},i{(user + 4 * n * (1 + user % 3)) % 80},{1700000000 + 60 * n}\n")
PYTHON
"$program" import --interactions events.csv --items items.csv --out data >/dev/null
"$program" train --data data --set text.encoder=tfidf --set search.enabled=false --set 'fusion.parts=["item-knn","text-knn"]' --out model >/dev/null
"$program" serve --model model --store store.db --addr 127.0.0.1:0 2>log &
server=$!
for _ in $(seq 100); do grep -q http:// log && break || sleep 0.1; done
address=$(grep -o 'http://[^ ]*' log | head -1)

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check PyGorse openai mcp
npm install --silent --no-fund --no-audit gorsejs tslib
cp "$here/gorse_scenario.mjs" .
venv/bin/python "$here/gorse_scenario.py" "$address"
node gorse_scenario.mjs "$address"
venv/bin/python "$here/openai_scenario.py" "$address"
venv/bin/python "$here/mcp_scenario.py" "$address/mcp"
venv/bin/python "$here/mcp_scenario.py" "$program" mcp --model model --store other.db
echo "5 passed, 0 failed"
