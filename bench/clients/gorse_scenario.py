"""The published client of Gorse, unchanged, against `tastemaker serve` (docs/guides/serving.md).

    python -m venv venv && venv/bin/pip install PyGorse
    tastemaker serve --store scenario.db & venv/bin/python bench/clients/gorse_scenario.py [http://127.0.0.1:8080] [key]
"""
import sys
import uuid

from gorse import Gorse, GorseException

url = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
client = Gorse(url, sys.argv[2] if len(sys.argv) > 2 else "any")
run = uuid.uuid4().hex[:8]
bob, ann = f"bob-{run}", f"ann-{run}"
items = [f"{run}:{n}" for n in range(4)]
time = "2022-02-24T00:00:00Z"

assert client.insert_user({"UserId": bob, "Labels": {"company": "g"}, "Comment": ""})["RowAffected"] == 1
assert client.get_user(bob)["Labels"] == {"company": "g"}
for n, item in enumerate(items):
    done = client.insert_item({"ItemId": item, "IsHidden": False, "Labels": {"embedding": [0.1]}, "Categories": ["go"],
                               "Timestamp": f"2022-02-0{n + 1}T00:00:00Z", "Comment": "text"})
    assert done["RowAffected"] == 1
assert client.get_item(items[0])["Categories"] == ["go"]
client.update_item(items[0], comment="other")
assert client.get_item(items[0])["Comment"] == "other"


def star(user, item):
    return {"FeedbackType": "star", "UserId": user, "ItemId": item, "Value": 1.0, "Timestamp": time, "Labels": {}, "Comment": ""}


assert client.insert_feedbacks([star(bob, items[0]), star(bob, items[1]), star(ann, items[0])])["RowAffected"] == 3
assert len(client.list_feedbacks("star", bob)) == 2
assert [item["ItemId"] for item in client.search_items(f"{items[1]} text")] == [items[1]]
listed = [score.id for score in client.get_recommend(bob, n=100)]
assert items[0] not in listed and items[1] not in listed, listed
assert set(score.id for score in client.get_recommend(bob, category="no-such-category")) == set()
page, cursor = client.get_items(2)
assert len(page) == 2 and client.get_items(2, cursor)[0]
assert client.delete_feedback(ann, items[0])["RowAffected"] == 1
session = client.session_recommend([star("nobody", items[0])], n=5)
assert all({"Id", "Score"} <= set(one) for one in session), session
assert client.delete_item(items[3])["RowAffected"] >= 1
assert client.delete_user(bob)["RowAffected"] >= 1
try:
    client.get_user(bob)
    raise SystemExit("an erased user was found")
except GorseException as missing:
    assert missing.status_code == 404
print("PyGorse: all well")
