"""Recall of lists read off a graph against those that score everything: `python bench/graph_recall.py TASTEMAKER MODEL EXACT`.

TASTEMAKER is the program; MODEL was trained with a graph, EXACT on the same data with `--set graph.from=0`. Serves one after the other and asks both for the
lists of 300 users of the data (ids u0 to u199999, as `large_catalogue.py` writes them).
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request


def lists(program, model, users):
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "serve", "--model", model, "--store", os.path.join(folder, "s.db"), "--addr", "127.0.0.1:0", "--offline", "--cache-mb", "0"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            line = next(line for line in server.stderr if "http://" in line)
            address = line.split("http://")[1].split()[0]
            begun = time.perf_counter()
            found = []
            for user in users:
                with urllib.request.urlopen(f"http://{address}/v1/recommend?n=10&user_id={user}") as answer:
                    found.append({item["item_id"] for item in json.load(answer)["items"]})
            return found, (time.perf_counter() - begun) / len(users) * 1e3
        finally:
            server.kill()
            server.wait()


def main():
    program, model, exact = sys.argv[1:]
    draw = random.Random(1)
    users = [f"u{draw.randrange(200_000)}" for _ in range(300)]
    near, near_ms = lists(program, model, users)
    full, full_ms = lists(program, exact, users)
    recall = sum(len(a & b) for a, b in zip(near, full)) / sum(len(b) for b in full)
    print(f"recall@10 {recall:.4f} over {len(users)} users; {near_ms:.2f} ms a list by the graph, {full_ms:.2f} ms by scoring everything")


main()
