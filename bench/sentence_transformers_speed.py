"""Texts per second of sentence-transformers, to put beside the example `encode_speed` (docs/benchmarks.md).

    venv/bin/python bench/sentence_transformers_speed.py MODEL_DIR TEXTS.txt
"""
import sys
import time

import torch
from sentence_transformers import SentenceTransformer

torch.set_num_threads(2)
model = SentenceTransformer(sys.argv[1], device="cpu")
model.max_seq_length = 256
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
model.encode(texts[:64])
for _ in range(2):
    start, cpu = time.perf_counter(), time.process_time()
    model.encode(texts, batch_size=32, normalize_embeddings=True, show_progress_bar=False)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{len(texts) / wall:.0f} texts/s, {len(texts) / cpu:.0f} a second of processor time", flush=True)
