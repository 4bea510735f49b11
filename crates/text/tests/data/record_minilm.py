"""Records vectors of all-MiniLM-L6-v2 for tests/live_minilm.rs with transformers and torch (f32, CPU).

    python record_minilm.py FOLDER > minilm.json

FOLDER holds config.json, tokenizer.json and model.safetensors. Of each vector the first 32 numbers are kept, and a
weighted sum of all of them, sum(cos(i) * v[i]), that a change anywhere would move.
"""
import json
import math
import sys

import torch
from tokenizers import Tokenizer
from transformers import BertModel

TEXTS = [
    "Toy Story",
    "Heat (1995). Crime, Thriller. A group of professional bank robbers starts to feel the heat from the police.",
    "a",
    "The quick brown fox jumps over the lazy dog.",
    "Women's moisturising face cream, 50 ml, SPF 30; fragrance-free!",
    "UPPER CASE AND lower case are the same to this model",
    "   white \t space \n is   collapsed   ",
    "Amélie – le fabuleux destin d'Amélie Poulain",
    "über naïve café façade",
    "我们喜欢科幻小说和电影",
    "看 Netflix 的电影 2021",
    "こんにちは世界",
    "Привет, мир",
    "🙂🎬🍿",
    "great product 👍🏽 would buy again",
    "http://example.com/path?query=1&other=two#fragment",
    "3.14159 26535 89793 23846",
    "[CLS] not a mark [SEP] of its own [MASK]",
    "pneumonoultramicroscopicsilicovolcanoconiosis",
    "A film about time, memory and loss. " * 60,
]


def main(folder):
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_truncation(256)
    tokenizer.no_padding()
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    rows = []
    for text in TEXTS:
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            vector = torch.nn.functional.normalize(model(input_ids=ids).last_hidden_state.mean(1))[0].double()
        weights = torch.tensor([math.cos(i) for i in range(len(vector))], dtype=torch.float64)
        rows.append({"text": text, "tokens": ids.shape[1], "first": [round(x, 7) for x in vector[:32].tolist()],
                     "sum": round(float(vector @ weights), 7)})
    print("[")
    print(",\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    print("]")


main(sys.argv[1])
