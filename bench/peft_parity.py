"""Largest difference between our vectors of a tuned encoder and those of transformers, PEFT and sentence-transformers
(docs/benchmarks.md). TEXTS holds one text a line, BASE is the folder that was tuned.

    tastemaker encode --input TEXTS --encoder TUNED --out ours.npy --set text.cache=false
    venv/bin/python bench/peft_parity.py BASE TUNED TEXTS ours.npy
    venv/bin/python bench/peft_parity.py --make BASE OUT          # a LoRA made by PEFT, for `tastemaker weights merge`
"""
import json
import sys
from pathlib import Path

import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModel, AutoTokenizer


def mean_of_tokens(model, tokenizer, texts, tokens_before=0, max_length=256):
    """Vectors before any dense layer, in batches of 32."""
    rows = []
    for at in range(0, len(texts), 32):
        batch = tokenizer(texts[at : at + 32], padding=True, truncation=True, max_length=max_length, return_tensors="pt")
        with torch.no_grad():
            states = model(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        rows.append((states * mask).sum(1) / mask.sum(1))
    return torch.cat(rows)


def finish(vectors, tuned):
    """The dense layer behind the pooling, where there is one, and length 1."""
    dense = tuned / "2_Dense" / "model.safetensors"
    if dense.exists():
        layer = load_file(dense)
        vectors = vectors @ layer["linear.weight"].T + layer["linear.bias"]
    return torch.nn.functional.normalize(vectors, dim=1).numpy()


def with_adapters(base, tuned):
    """Our own form of bottleneck adapters, as hooks on the two dense layers they stand behind."""
    model = AutoModel.from_pretrained(base).eval()
    tensors = load_file(tuned / "adapters" / "model.safetensors")
    modules = dict(model.named_modules())

    def hook(name):
        part = {key: tensors[f"{name}.adapter.{key}"] for key in ("down.weight", "down.bias", "up.weight", "up.bias")}

        def add(_module, _inputs, out):
            down = torch.nn.functional.gelu(out @ part["down.weight"].T + part["down.bias"])
            return out + down @ part["up.weight"].T + part["up.bias"]

        return add

    for name in {key.split(".adapter.")[0] for key in tensors}:
        modules[f"{name}.dense"].register_forward_hook(hook(name))
    return model


def main():
    torch.set_num_threads(2)
    if sys.argv[1] == "--make":
        base, out = sys.argv[2:]
        torch.manual_seed(1)
        config = LoraConfig(task_type="FEATURE_EXTRACTION", r=8, lora_alpha=16, target_modules=["query", "value", "output.dense"],
                            init_lora_weights=False)
        model = get_peft_model(AutoModel.from_pretrained(base), config)
        model.save_pretrained(out)
        return
    base, tuned, texts, ours = sys.argv[1:]
    tuned, ours = Path(tuned), np.load(ours)
    texts = [line.rstrip("\n") for line in open(texts, encoding="utf-8", newline="\n")]
    full = np.array([bool(text.strip()) for text in texts])
    tokenizer = AutoTokenizer.from_pretrained(base)
    said = tuned / "sentence_bert_config.json"
    length = json.loads(said.read_text()).get("max_seq_length", 256) if said.exists() else 256

    def report(name, theirs):
        print(f"{name}: {full.sum()} texts, {abs(ours - theirs)[full].max():.1e} at most")

    adapters, prefix, lora = (tuned / name for name in ("adapters", "prefix", "lora"))
    if adapters.exists():
        model = with_adapters(base, tuned)
        report("transformers with hooks for adapters", finish(mean_of_tokens(model, tokenizer, texts, max_length=length), tuned))
    elif prefix.exists():
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), prefix).eval()
        report("PEFT, prefix", finish(mean_of_tokens(model, tokenizer, texts, max_length=length), tuned))
    else:
        theirs = SentenceTransformer(str(tuned), device="cpu").encode(texts, batch_size=32, normalize_embeddings=True)
        report("sentence-transformers", theirs)
        model = AutoModel.from_pretrained(tuned).eval()
        report("transformers", finish(mean_of_tokens(model, tokenizer, texts, max_length=length), tuned))
    if lora.exists():
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), lora).eval()
        report("PEFT, LoRA on the encoder as it was", finish(mean_of_tokens(model, tokenizer, texts, max_length=length), tuned))
    if (tuned / "adapter_config.json").exists():
        model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), tuned).eval()
        report("PEFT's own adapter", finish(mean_of_tokens(model, tokenizer, texts, max_length=length), tuned))


if __name__ == "__main__":
    main()
