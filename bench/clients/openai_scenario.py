"""The published client of OpenAI, unchanged, against `tastemaker serve --model DIR` (docs/guides/serving.md).

    python -m venv venv && venv/bin/pip install openai
    tastemaker serve --model demo/model & venv/bin/python bench/clients/openai_scenario.py [http://127.0.0.1:8080] [key]
"""
import sys

from openai import NotFoundError, OpenAI

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
client = OpenAI(base_url=f"{url}/v1", api_key=sys.argv[2] if len(sys.argv) > 2 else "any")

models = list(client.models.list())
encoder = next(model.id for model in models if model.role == "encoder")
texts = ["a film about space", "a film about the stars", "cooking with my grandmother"]
answer = client.embeddings.create(model=encoder, input=texts)  # asks for base64, as the client does
vectors = [row.embedding for row in answer.data]
plain = client.embeddings.create(model=encoder, input=texts[0], encoding_format="float").data[0].embedding
assert max(abs(a - b) for a, b in zip(plain, vectors[0])) < 1e-6
assert len(client.embeddings.create(model=encoder, input=texts[0], dimensions=8).data[0].embedding) == 8


def like(a, b):
    return sum(x * y for x, y in zip(a, b))


print(f"{encoder}: {like(vectors[0], vectors[1]):.3f} between like texts, {like(vectors[0], vectors[2]):.3f} between others")
try:
    client.embeddings.create(model="no-such-model", input="x")
    raise SystemExit("an unknown model answered")
except NotFoundError:
    print("openai: all well")
