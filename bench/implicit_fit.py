"""Fit times of the library `implicit` on an interactions file, to put beside the example `fit_speed` (docs/benchmarks.md).

    python -m venv venv && venv/bin/pip install implicit numpy scipy
    OPENBLAS_NUM_THREADS=1 venv/bin/python bench/implicit_fit.py interactions.csv[.gz] [regularization] [alpha]
"""
import csv
import gzip
import sys
import time

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender


def load(path):
    """Users x items of everything but each user's last event."""
    users, items = {}, {}
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            item = items.setdefault(row["item_id"], len(items))
            users.setdefault(row["user_id"], []).append((float(row["timestamp"] or 0), item))
    rows, cols = [], []
    for u, events in enumerate(users.values()):
        seq = [i for _, i in sorted(events, key=lambda e: e[0])]
        seq = seq[:-1] if len(seq) >= 3 else seq
        rows += [u] * len(seq)
        cols += seq
    m = sp.csr_matrix((np.ones(len(rows), np.float32), (rows, cols)), (len(users), len(items)))
    m.data[:] = 1
    return m


def main():
    matrix = load(sys.argv[1])
    regularization = float(sys.argv[2]) if len(sys.argv) > 2 else 10.0
    alpha = float(sys.argv[3]) if len(sys.argv) > 3 else 1.0
    models = {
        "als 64 factors, 15 iterations": lambda: AlternatingLeastSquares(
            factors=64, iterations=15, regularization=regularization, alpha=alpha, num_threads=2, random_state=0, use_gpu=False),
        "cosine K 20": lambda: CosineRecommender(K=20, num_threads=2),
        "BM25 K 500": lambda: BM25Recommender(K=500, K1=1.2, B=0.75, num_threads=2),
    }
    for name, make in models.items():
        for _ in range(2):
            model, start = make(), time.perf_counter()
            model.fit(matrix, show_progress=False)
            print(f"{name}: fit {time.perf_counter() - start:.3f} s", flush=True)


if __name__ == "__main__":
    main()
