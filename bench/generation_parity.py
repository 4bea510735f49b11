"""Compares what the example `generate` says with Python's transformers on the same GGUF file, dequantised to f32.

  cargo run --release -p tastemaker-text --example generate -- FILE f32 > ours.json
  python bench/generation_parity.py ours.json [reference.json]

Needs torch, transformers and gguf. With a second file the reference is kept there and read again the next time.
"""

import json
import os
import sys

ours = json.load(open(sys.argv[1]))
kept = sys.argv[2] if len(sys.argv) > 2 else None


def reference():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, name = os.path.split(ours["file"])
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32).eval()
    rows = []
    for answer in ours["answers"]:
        turns = [{"role": "user", "content": answer["prompt"]}]
        text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
        scores = []
        with torch.inference_mode():
            for continuation in answer["scored"]:
                more = tokenizer(continuation, add_special_tokens=False)["input_ids"]
                logits = model(torch.tensor([prompt + more])).logits[0].double()
                logs = logits.log_softmax(-1)[len(prompt) - 1 : -1]
                picked = [logs[i, token].item() for i, token in enumerate(more)]
                scores.append({"sum": sum(picked), "tokens": len(more)})
            n = answer.get("max_tokens", 48)
            said = model.generate(
                torch.tensor([prompt]),
                attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
                max_new_tokens=n,
                do_sample=False,
                repetition_penalty=1.0,
                temperature=None,
                top_p=None,
                top_k=None,
            )[0, len(prompt) :].tolist()
        rows.append({
            "prompt_tokens": len(prompt),
            "scores": scores,
            "tokens": len([t for t in said if t != tokenizer.eos_token_id]),
            "text": tokenizer.decode(said, skip_special_tokens=True),
        })
        print(".", end="", file=sys.stderr, flush=True)
    return rows


if kept and os.path.exists(kept):
    theirs = json.load(open(kept))
else:
    theirs = reference()
    if kept:
        json.dump(theirs, open(kept, "w"), ensure_ascii=False, indent=1)

worst, total, tokens, same = 0.0, 0.0, 0, 0
for a, b in zip(ours["answers"], theirs):
    if "reply" not in a:
        continue
    assert a["reply"]["prompt_tokens"] == b["prompt_tokens"], (a["prompt"], a["reply"]["prompt_tokens"], b["prompt_tokens"])
    for x, y in zip(a["scores"], b["scores"]):
        assert x["tokens"] == y["tokens"], (a["prompt"], x, y)
        worst = max(worst, abs(x["sum"] - y["sum"]) / y["tokens"])
        total += abs(x["sum"] - y["sum"])
        tokens += y["tokens"]
    cut = lambda text: text.rstrip("\ufffd")
    is_same = cut(a["reply"]["text"]) == cut(b["text"])
    same += is_same
    print(("same  " if is_same else "OTHER ") + a["prompt"])
    if not is_same:
        print("  ours:  ", a["reply"]["text"])
        print("  theirs:", b["text"])
print(f"{ours['precision']}: greedy replies the same {same} of {len(theirs)}; log-probability off by {worst:.2e} a token at worst, "
      f"{total / max(tokens, 1):.2e} on average")
