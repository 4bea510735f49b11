"""An experiment and an off-policy estimate on MovieLens-1M with simulated users.

    python bench/experiment.py target/release/tastemaker ratings.dat     # or interactions.csv.gz: user_id,item_id,…,timestamp

Trains item-knn and ease without each user's last ten events. 3,000 users, drawn by a fixed seed, each ask once for ten items and click the first
that is among those ten events. First an experiment, item-knn against ease; then, with an empty store, item-knn that explores, from whose lists
both models are judged; beside it how often the experiment's users took the first item. Only Python's own library.
"""

import collections
import csv
import gzip
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

USERS, HELD, N = 3000, 10, 10
WINDOW_HOURS = 0.001


def ask(address, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"http://{address}{path}", data, {"content-type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)


class Server:
    def __init__(self, binary, folder, store):
        self.process = subprocess.Popen(
            [binary, "serve", "--offline", "--addr", "127.0.0.1:0", "--models", "models", "--store", store],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "http://" in line:
                self.address = line.split("http://")[1].split()[0]
                break
        else:
            sys.exit("the server did not start")
        threading.Thread(target=lambda: collections.deque(self.process.stderr, 0), daemon=True).start()

    def __enter__(self):
        return self.address

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def visit(address, users, held):
    """Each user asks once; returns how often the first item of each arm's lists was wanted, and of how many lists."""
    firsts = collections.defaultdict(lambda: [0, 0])
    for user in users:
        answer = ask(address, "GET", f"/v1/recommend?user_id={user}&n={N}")
        items = [item["item_id"] for item in answer["items"]]
        first = firsts[answer["arm"]]
        first[0] += items[0] in held[user]
        first[1] += 1
        wanted = next((item for item in items if item in held[user]), None)
        if wanted:
            ask(address, "POST", "/v1/events", {
                "user_id": user, "item_id": wanted, "event_type": "click", "recommendation_id": answer["recommendation_id"]})
    time.sleep(WINDOW_HOURS * 3600 + 1)
    return firsts


def prepare(binary, source, folder):
    by_user = collections.defaultdict(list)
    opened = gzip.open if source.suffix == ".gz" else open
    with opened(source, "rt", encoding="latin-1") as lines:
        if source.suffix == ".dat":
            rows = (dict(zip(["user_id", "item_id", "rating", "timestamp"], line.strip().split("::"))) for line in lines)
        else:
            rows = csv.DictReader(lines)
        for row in rows:
            by_user[row["user_id"]].append((int(row["timestamp"]), row["item_id"]))
    held = {}
    with open(folder / "events.csv", "w", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["user_id", "item_id", "timestamp"])
        for user, events in by_user.items():
            events.sort()
            held[user] = {item for _, item in events[-HELD:]}
            rows.writerows((user, item, when) for when, item in events[:-HELD])
    run = lambda *args: subprocess.run([binary, "--no-progress", *args], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run("import", "--interactions", "events.csv", "--out", "data")
    (folder / "models/default").mkdir(parents=True)
    for model in ["item-knn", "ease"]:
        run("train", "--data", "data", "--out", f"models/default/{model}", "--model", model, "--set", "search.enabled=false")
    (folder / "models/default/active").write_text("item-knn")
    users = sorted(held, key=int)
    random.Random(42).shuffle(users)
    return users[:USERS], held


def main():
    binary, source = (pathlib.Path(path).resolve() for path in sys.argv[1:3])
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        users, held = prepare(binary, source, folder)
        with Server(binary, folder, "ab.db") as address:
            ask(address, "POST", "/v1/experiments", {
                "name": "next-model", "arms": [{"name": "control"}, {"name": "variant", "policy": {"model": "ease"}}],
                "window_hours": WINDOW_HOURS, "planned_users": 5000, "success": ["click"]})
            # The arm's model is read first; a user who comes before it is in no arm, and ends this.
            time.sleep(5)
            firsts = visit(address, users, held)
            results = ask(address, "POST", "/v1/experiments/next-model/stop")["results"]
            print(json.dumps(results, indent=1))
            for arm, (wanted, lists) in sorted(firsts.items()):
                print(f"{arm}: the first item was wanted in {wanted} of {lists} lists, {wanted / lists:.3f}")
        with Server(binary, folder, "explore.db") as address:
            ask(address, "POST", "/v1/experiments", {
                "name": "explore", "window_hours": WINDOW_HOURS, "success": ["click"],
                "arms": [{"name": "explorer", "policy": {"pipeline": {"explore": .4, "explore_depth": 20}}}]})
            visit(address, users, held)
            for model in ["ease", "item-knn"]:
                answer = ask(address, "POST", "/v1/off-policy", {
                    "policy": {"model": model}, "days": 1, "window_hours": WINDOW_HOURS, "lists": USERS})
                print(json.dumps(answer))


if __name__ == "__main__":
    main()
