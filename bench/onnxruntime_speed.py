"""Texts per second of onnxruntime, to put beside the example `encode_speed` (docs/benchmarks.md).

    venv/bin/python bench/onnxruntime_speed.py MODEL_DIR MODEL.onnx TEXTS.txt

MODEL.onnx gives token vectors from input_ids, attention_mask and token_type_ids, in f32 or quantised by
onnxruntime.quantization.quantize_dynamic. Texts are tokenised inside the measured time and sorted by length, 32 to a batch.
"""
import os
import sys
import time

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

folder, model, texts = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads, options.inter_op_num_threads = 2, 1
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
tokenizer.enable_truncation(256)
tokenizer.no_padding()


def encode(texts):
    encoded = tokenizer.encode_batch(texts)
    order = np.argsort([-len(e.ids) for e in encoded], kind="stable")
    out = np.empty((len(texts), 384), np.float32)
    for at in range(0, len(order), 32):
        rows = order[at:at + 32]
        ids = np.zeros((len(rows), len(encoded[rows[0]].ids)), np.int64)
        mask = np.zeros_like(ids)
        for row, index in enumerate(rows):
            ids[row, :len(encoded[index].ids)] = encoded[index].ids
            mask[row, :len(encoded[index].ids)] = 1
        feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        hidden = session.run(None, feed)[0]
        mean = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
        out[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return out


texts = open(texts, encoding="utf-8").read().splitlines()
encode(texts[:64])
for _ in range(2):
    start, cpu = time.perf_counter(), time.process_time()
    encode(texts)
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(f"{len(texts) / wall:.0f} texts/s, {len(texts) / cpu:.0f} a second of processor time", flush=True)
