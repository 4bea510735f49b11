"""Compares scores of pairs and of masked words with transformers, for a folder that `tastemaker tune` wrote.

    python bench/heads_parity.py FOLDER pairs.json

`pairs.json` holds what `cargo run -p tastemaker-text --example cross_scores -- FOLDER` printed: a list of [first, second, scores].
Without it only that the folder opens, and what class it is of, is said.
"""

import json
import sys

import torch
from transformers import AutoConfig, AutoModelForMaskedLM, AutoModelForSequenceClassification, AutoTokenizer


def main() -> None:
    folder = sys.argv[1]
    config = AutoConfig.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    masked = "MaskedLM" in config.architectures[0]
    kind = AutoModelForMaskedLM if masked else AutoModelForSequenceClassification
    model, info = kind.from_pretrained(folder, output_loading_info=True)
    model.eval()
    print(type(model).__name__, {key: sorted(value) for key, value in info.items() if value})
    if masked:
        text = sys.argv[2] if len(sys.argv) > 2 else f"this shampoo leaves my hair {tokenizer.mask_token}"
        inputs = tokenizer(text, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        for at in (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten():
            best = logits[at].topk(5)
            print([(tokenizer.decode([i]), round(float(x), 4)) for x, i in zip(best.values, best.indices)])
        return
    pairs = json.load(open(sys.argv[2]))
    worst = 0.0
    for first, second, scores in pairs:
        inputs = tokenizer(first, second, truncation=True, max_length=256, return_tensors="pt")
        with torch.no_grad():
            logits = model(**inputs).logits[0]
        worst = max(worst, max(abs(a - b) for a, b in zip(logits.tolist(), scores)))
    print(f"{len(pairs)} pairs, greatest difference of a logit {worst:.2e}")


if __name__ == "__main__":
    main()
