"""Largest difference between our vectors and those of sentence-transformers (docs/benchmarks.md). TEXTS holds one text a line.

    tastemaker encode --input TEXTS --out ours.npy --set text.encoder=MODEL_DIR --set text.cache=false
    venv/bin/python bench/encoding_parity.py MODEL_DIR TEXTS ours.npy
"""
import sys

import numpy as np
from sentence_transformers import SentenceTransformer

folder, texts, ours = sys.argv[1:]
texts = [line.rstrip("\n") for line in open(texts, encoding="utf-8", newline="\n")]
ours = np.load(ours)
theirs = SentenceTransformer(folder, device="cpu").encode(texts, batch_size=32, normalize_embeddings=True)
full = np.array([bool(text.strip()) for text in texts])
print(f"{full.sum()} texts: {abs(ours - theirs)[full].max():.1e} at most; {(~full).sum()} without content, all zero: "
      f"{not ours[~full].any()}")
