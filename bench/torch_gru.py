"""Seconds of a training epoch of GRU4Rec in PyTorch on the CPU, to put beside `tastemaker evaluate --models gru4rec -vv`
(docs/benchmarks.md): item vectors, one GRU, a dense layer, softmax cross-entropy over the catalogue, Adam; the same sizes,
the same loss, about the same positions in a batch, and as little padding as sequences grouped by length leave.

    python -m venv venv && venv/bin/pip install torch numpy
    venv/bin/python bench/torch_gru.py interactions.csv[.gz] [length 200] [positions 2048] [hidden 256] [epochs 2]
"""
import csv
import ctypes
import gzip
import sys
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


def load(path):
    """Sequences of everything but each user's last two events, and the number of items."""
    users, items = {}, {}
    with (gzip.open if path.endswith(".gz") else open)(path, "rt", encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            item = items.setdefault(row["item_id"], len(items))
            users.setdefault(row["user_id"], []).append((float(row["timestamp"] or 0), item))
    sequences = [[i for _, i in sorted(events, key=lambda e: e[0])] for events in users.values()]
    return [s[:-2] if len(s) >= 3 else s for s in sequences], len(items)


class Gru(nn.Module):
    def __init__(self, n, dim, hidden):
        super().__init__()
        self.item, self.gru, self.dense = nn.Embedding(n, dim), nn.GRU(dim, hidden, batch_first=True), nn.Linear(hidden, dim)
        self.norm, self.drop = nn.LayerNorm(dim), nn.Dropout(0.2)
        nn.init.normal_(self.item.weight, std=0.02)

    def forward(self, ids):
        h, _ = self.gru(self.drop(self.item(ids) * self.item.embedding_dim ** 0.5))
        return self.norm(self.dense(self.drop(h)))


def main():
    length, positions, hidden, epochs = [int(x) for x in sys.argv[2:6]] + [200, 2048, 256, 2][len(sys.argv) - 2:]
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-4, 0)  # keeps memory instead of giving it back at every step
        libc.mallopt(-1, 2 ** 31 - 1)
    torch.set_num_threads(2)
    sequences, n = load(sys.argv[1])
    sequences = sorted((s[-length - 1:] for s in sequences if len(s) > 1), key=len)
    model = Gru(n, 64, hidden)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3, betas=(0.9, 0.98))
    for epoch in range(epochs):
        batches, now = [], []
        for s in sequences:
            if now and (len(now) + 1) * (len(s) - 1) > positions:
                batches.append(now)
                now = []
            now.append(s)
        batches.append(now)
        start, total, count = time.perf_counter(), 0.0, 0
        for at in np.random.default_rng(epoch).permutation(len(batches)):
            rows = batches[at]
            ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
            for r, s in enumerate(rows):
                ids[r, :len(s)] = torch.tensor(s)
            real = torch.arange(ids.shape[1] - 1) < torch.tensor([len(s) - 1 for s in rows])[:, None]
            target = ids[:, 1:][real]
            loss = F.cross_entropy(model(ids[:, :-1])[real] @ model.item.weight.T, target)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total, count = total + loss.item() * len(target), count + len(target)
        seconds = time.perf_counter() - start
        print(f"epoch {epoch + 1}: loss {total / count:.4f}, {seconds:.2f} s, {count / seconds:.0f} positions/s", flush=True)


if __name__ == "__main__":
    main()
