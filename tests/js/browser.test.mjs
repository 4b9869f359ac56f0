// The file browser without a page: what is found and in which order, times, and what goes to and from the kernel.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import { gzipSync } from "node:zlib";
import { Files, Shelf, formatAgo, formatUntil, numbers } from "../../nbfiles/widget/static/browser.js";
import { Model } from "./model.mjs";

const NOW = new Date(2026, 10, 25, 14, 30).getTime();
const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000];
const plain = (text) => text.replaceAll("\u00a0", " ");
const ANY = { text: "", mime: "", origin: -1, column: "created", down: true };
const COLUMNS = {
  id: ["file_a", "file_b", "file_c", "file_d"],
  name: ["part-10.csv", "Part-2.csv", "notes \u202egpj.txt", "café.pdf"],
  mime: ["text/plain", "text/plain", "text/markdown", "application/pdf"],
  size: [10, 2000, 30, 400],
  created: [4, 3, 2, 1],
  expires: [null, 70, 50, null],
  variable: ["", "a", "", "b[0]"],
  block: ["document", "", "document", "document"],
  origin: [0, 1, 2, 0],
  downloadable: [0, 0, 1, 0],
};

const found = (query, files = new Files(structuredClone(COLUMNS), 1)) => [...files.find({ ...ANY, ...query })];

beforeEach((context) => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW });
  context.after?.(() => mock.timers.reset());
});

/** A shelf, and what says something to it as the kernel would. */
function bench() {
  const model = new Model();
  const shelf = new Shelf(model);
  const say = async (message, buffer) => {
    model.emit("msg:custom", message, buffer ? [new DataView(new Uint8Array(buffer).buffer)] : []);
    await shelf.heard;
  };
  const list = (version, columns = COLUMNS, more = {}) => say({ kind: "rows", version, local: false, ...more }, gzipSync(JSON.stringify(columns)));
  const rows = (...all) => new Uint8Array(Uint32Array.from(all).buffer);
  return { model, shelf, say, list, rows };
}

test("times that have passed", () => {
  const cases = { "just now": 30_000, "3 min ago": 3 * MINUTE, "1 hour ago": HOUR, "5 hours ago": 5.5 * HOUR, yesterday: 25 * HOUR, "3 days ago": 3 * DAY };
  for (const [text, passed] of Object.entries(cases)) assert.equal(plain(formatAgo(NOW - passed, NOW)), text);
  assert.equal(plain(formatAgo(new Date(2026, 7, 4).getTime(), NOW)), "4 Aug");
  assert.equal(plain(formatAgo(new Date(2024, 9, 12).getTime(), NOW)), "12 Oct 2024");
  assert.equal(formatAgo(NOW + MINUTE, NOW), "just now");
});

test("times ahead", () => {
  const cases = { expired: 0, "in 1 min": 1000, "in 20 min": 20 * MINUTE, "in 3 hours": 3 * HOUR, "in 7 days": 7 * DAY };
  for (const [text, ahead] of Object.entries(cases)) assert.equal(plain(formatUntil(NOW + ahead, NOW)), text);
});

test("the newest come first, and what is asked for is found by name, id and type, in any case", () => {
  assert.deepEqual(found({}), [0, 1, 2, 3]);
  assert.deepEqual(found({ text: "PART csv" }), [0, 1]);
  assert.deepEqual(found({ text: "file_d" }), [3]);
  assert.deepEqual(found({ text: "markdown" }), [2]);
  assert.deepEqual(found({ text: "nothing" }), []);
  assert.deepEqual(found({ mime: "text/plain", origin: 1 }), [1]);
});

test("numbers in names count as numbers, and what has no value comes last", () => {
  assert.deepEqual(found({ column: "name", down: false }), [3, 2, 1, 0]);
  assert.deepEqual(found({ column: "size", down: true }), [1, 3, 2, 0]);
  assert.deepEqual(found({ column: "expires", down: false }), [2, 1, 0, 3]);
  assert.deepEqual(found({ column: "variable", down: false }), [1, 3, 0, 2]);
});

test("rows that are gone are found no more and counted no more", () => {
  const files = new Files(structuredClone(COLUMNS), 1);
  files.drop([1, 1, 3]);
  assert.deepEqual(found({}, files), [0, 2]);
  assert.equal(files.left, 2);
  assert.deepEqual(files.types, ["text/plain", "text/markdown"]);
});

test("50,000 names are sorted and searched", () => {
  const name = Array.from({ length: 50_000 }, (_, row) => `scan ${49_999 - row}.tif`);
  const files = new Files({ ...COLUMNS, id: name, name, mime: name.map(() => "image/tiff"), origin: name.map(() => 0) }, 1);
  const rows = files.find({ ...ANY, column: "name", down: false });
  assert.equal(rows.length, 50_000);
  assert.ok(rows.every((row, at) => row === 49_999 - at));
  assert.deepEqual([...files.find({ ...ANY, column: "name", text: "49999" })], [0]);
});

test("a shelf says hello, and tells what is selected as numbers of the listing", async () => {
  const { model, shelf, list } = bench();
  assert.deepEqual(model.sent, [{ kind: "hello" }]);
  await list(3);
  assert.equal(shelf.busy, "");
  shelf.select([2, 0], true);
  mock.timers.tick(200);
  assert.deepEqual(model.sent.at(-1), { kind: "select", version: 3, bytes: 8 });
  assert.equal(plain(shelf.sum), "2 selected · 40 B");
});

test("what was selected stays so in a newer listing, by id, and what is gone does not", async () => {
  const { shelf, list } = bench();
  await list(1);
  shelf.select([0, 3], true);
  const without = Object.fromEntries(Object.entries(COLUMNS).map(([name, values]) => [name, values.slice(1)]));
  await list(2, without);
  assert.deepEqual([...shelf.selected], [2]);
});

test("deleted rows leave the selection; those of another version are not touched", async () => {
  const { shelf, list, say, rows } = bench();
  await list(1);
  shelf.select([0, 3], true);
  await say({ kind: "gone", version: 2 }, rows(0));
  assert.deepEqual([...shelf.selected], [0, 3]);
  await say({ kind: "gone", version: 1 }, rows(3));
  assert.deepEqual([...shelf.selected], [0]);
  assert.equal(shelf.files.left, 3);
});

test("a plan stands until the selection changes", async () => {
  const { shelf, list, say } = bench();
  await list(1);
  shelf.select([0], true);
  await say({ kind: "plan", token: "t", count: 1, size: 10, elsewhere: 0, variables: [] });
  assert.equal(shelf.bar.kind, "plan");
  assert.equal(shelf.bar.token, "t");
  shelf.select([1], true);
  assert.equal(shelf.bar.kind, "");
});

test("the kernel may select, hold names, and say what went wrong", async () => {
  const { shelf, list, say, rows } = bench();
  await list(1);
  await say({ kind: "choose", version: 1 }, rows(1, 2));
  assert.deepEqual([...shelf.selected], [1, 2]);
  await say({ kind: "held", version: 1, held: [[2, "notes"]] });
  assert.deepEqual(shelf.files.columns.variable, ["", "", "notes", ""]);
  await say({ kind: "said", text: "It failed.", bad: true });
  assert.deepEqual([shelf.bar.kind, shelf.bar.text], ["bad", "It failed."]);
  await say({ kind: "rows", version: 1, local: true, error: "The server is busy." }, gzipSync("{}"));
  assert.equal(shelf.error, "The server is busy.");
  assert.equal(shelf.files.left, 4);
});

test("a restarted kernel is said once and asked for nothing", async () => {
  const { model, shelf, list } = bench();
  await list(1);
  model.emit("comm:close");
  const sent = model.sent.length;
  shelf.ask("plan");
  assert.equal(model.sent.length, sent);
  assert.match(shelf.error, /^The kernel restarted/);
});

test("numbers are read as the kernel writes them, on any machine", () => {
  assert.deepEqual(numbers(new DataView(Uint8Array.from([1, 0, 0, 0, 0, 1, 0, 0]).buffer)), [1, 256]);
});
