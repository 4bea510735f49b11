// The published JavaScript client of Gorse, unchanged, against `tastemaker serve` (docs/guides/serving.md).
//
//   npm install gorsejs tslib && cp bench/clients/gorse_scenario.mjs .
//   tastemaker serve --store scenario.db & node gorse_scenario.mjs [http://127.0.0.1:8080] [key]
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import gorsejs from "gorsejs";

const { Gorse } = gorsejs;
const [endpoint = "http://127.0.0.1:8080", secret = "any"] = process.argv.slice(2);
const client = new Gorse({ endpoint, secret });
const run = randomUUID().slice(0, 8);
const [bob, ann] = [`bob-${run}`, `ann-${run}`];
const items = [0, 1, 2, 3].map((n) => `${run}:${n}`);
const own = `go-${run}`;
const star = (UserId, ItemId) => ({ FeedbackType: "star", UserId, ItemId, Timestamp: new Date("2022-02-24T00:00:00Z") });
const ids = (list) => list.map((one) => one.Id);

assert.equal(await client.insertUser({ UserId: bob, Labels: ["a", "b"], Comment: "first" }), 1);
assert.deepEqual((await client.getUser(bob)).Labels, ["a", "b"]);
assert.equal(await client.updateUser(bob, { UserId: bob, Comment: "second" }), 1);
assert.equal((await client.getUser(bob)).Comment, "second");
assert.equal(await client.insertUsers([{ UserId: ann }, { UserId: `eve-${run}` }]), 2);
const users = await client.getUsers({ n: 2 });
assert.equal(users.Users.length, 2);
assert.ok(typeof users.Cursor === "string");

const item = (ItemId, n) => ({
  ItemId, IsHidden: false, Labels: ["x"], Categories: [own], Timestamp: new Date(Date.UTC(2022, 1, n + 1)), Comment: "text",
});
assert.equal(await client.upsertItem(item(items[0], 0)), 1);
assert.equal(await client.upsertItems(items.slice(1).map((id, n) => item(id, n + 1))), 3);
assert.deepEqual((await client.getItem(items[0])).Categories, [own]);
assert.equal(await client.updateItem(items[0], { Comment: "other" }), 1);
assert.equal((await client.getItem(items[0])).Comment, "other");
assert.equal(await client.insertItemCategory(items[0], "more"), 1);
assert.ok((await client.getItem(items[0])).Categories.includes("more"));
assert.equal(await client.deleteItemCategory(items[0], "more"), 1);
assert.ok(!(await client.getItem(items[0])).Categories.includes("more"));
assert.equal((await client.getItems({ n: 2 })).Items.length, 2);

assert.equal(await client.insertFeedbacks([star(bob, items[0]), star(bob, items[1]), star(ann, items[0])]), 3);
assert.equal(await client.upsertFeedbacks([star(ann, items[0])]), 1);
assert.equal((await client.getFeedback({ type: "star", userId: bob, itemId: items[0] })).ItemId, items[0]);
assert.ok((await client.getFeedbacks("star", { n: 100 })).Feedback.length >= 3);
assert.equal((await client.getUserFeedback(bob)).length, 2);
assert.equal((await client.getUserFeedbackByType(bob, "star")).length, 2);
assert.equal((await client.getItemFeedback(items[0])).length, 2);
assert.equal((await client.getItemFeedbackByType(items[0], "like")).length, 0);

// The client asks for a category in the path, and for `/latest/` where there is none.
assert.deepEqual(ids(await client.getLatest({ category: own })), [...items].reverse());
assert.equal((await client.getLatest({ cursorOptions: { n: 3 } })).length, 3);
assert.deepEqual(ids(await client.getPopular({ category: own, cursorOptions: { n: 1 } })), [items[0]]);
assert.ok((await client.getPopular({})).length >= 1);
const listed = await client.getRecommend({ userId: bob, cursorOptions: { n: 100 } });
assert.ok(!listed.includes(items[0]) && !listed.includes(items[1]), listed);
assert.deepEqual(await client.getRecommend({ userId: bob, category: "no-such-category" }), []);
await client.getRecommend({ userId: ann, writeBackType: "read", writeBackDelay: "10m" });
assert.ok(Array.isArray(await client.getSessionRecommend([star("nobody", items[0])], { cursorOptions: { n: 5 } })));
assert.deepEqual(await client.getSessionRecommend([star("nobody", items[0])], { category: "no-such-category" }), []);
try {
  await client.getItemNeighbors({ itemId: items[0], category: own });
} catch (error) {
  assert.ok([404, 409].includes(error.code), error); // no model knows this item
}

await client.deleteFeedback({ type: "star", userId: ann, itemId: items[0] });
assert.equal((await client.getItemFeedback(items[0])).filter((one) => one.UserId === ann && one.FeedbackType === "star").length, 0);
assert.ok((await client.deleteItem(items[3])) >= 1);
assert.ok((await client.deleteUser(bob)) >= 1);
await assert.rejects(client.getUser(bob), (error) => error.code === 404);
console.log("gorsejs: all well");
