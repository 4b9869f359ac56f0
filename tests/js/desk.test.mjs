// The desk against a model, requests and a clock that the test holds: lanes, messages, what is said.
import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";
import widget, { Desk } from "../../nbfiles/widget/static/upload.js";
import { Bench, Model, Request, file, settled, surround } from "./model.mjs";

const MIB = 2 ** 20;
const kinds = ({ model }) => model.sent.map(({ kind }) => kind);

beforeEach((context) => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  context.after?.(() => mock.timers.reset());
});

/** Lets time pass in steps, so that each timer finds the promises of the one before kept. */
async function pass(ms) {
  for (let at = 0; at < ms; at += 250) {
    mock.timers.tick(250);
    await settled();
  }
}

test("a desk says hello with a page of its own", () => {
  const { model, desk } = new Bench();
  assert.match(desk.page, /^[0-9a-f]{16}$/);
  assert.deepEqual(model.sent, [{ kind: "hello", page: desk.page, lane: "" }]);
  assert.notEqual(desk.page, new Bench().desk.page);
});

test("no byte leaves before the kernel has accepted a file", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [row] = bench.offer(file("a.txt"));
  await pass(500);
  assert.deepEqual(kinds(bench), ["hello", "offer", "begin"]);
  assert.deepEqual(bench.model.of("offer")[0].rows, [{ key: `${bench.desk.page}-1`, name: "a.txt", path: "", size: 10 }]);
  assert.deepEqual(bench.model.of("begin"), [{ kind: "begin", key: row.known.key, lane: "http" }]);
  bench.know(row, { state: "queued" });
  assert.equal(Request.all.length, 1, "only the probe");
  await bench.go(row);
  assert.equal(Request.all.length, 2);
  assert.equal(bench.model.of("begin").length, 1, "once");
});

test("no file is begun before the lane is known", async () => {
  const bench = new Bench();
  bench.accept(file("a.txt"));
  assert.deepEqual(bench.model.of("begin"), []);
  await bench.welcome();
  assert.equal(bench.model.of("begin").length, 1);
});

test("a refused file gives its place to the next, and nothing of it is sent", async () => {
  const bench = new Bench();
  await bench.welcome(404);
  const [row, next] = bench.offer(file("a.txt", 0), file("b.txt"));
  const begun = () => bench.model.of("begin").map(({ key }) => key);
  assert.deepEqual(begun(), [row.known.key], "one at a time over the comm");
  bench.know(row, { state: "refused", reason: "Not sent: empty file." });
  assert.deepEqual(begun(), [row.known.key, next.known.key]);
  await bench.go(row);
  await pass(250);
  assert.deepEqual(bench.model.of("piece"), []);
  assert.equal(bench.said[0], "! a.txt was not sent: empty file.");
});

test("only the first file of a choice is offered where one is taken", () => {
  const bench = new Bench({ limits: { accept: "", multiple: false, max_files: null, max_bytes: 9 } });
  bench.offer(file("a.txt"), file("b.txt"));
  assert.deepEqual(bench.model.of("offer")[0].rows.map(({ name }) => name), ["a.txt"]);
});

test("offers are cut into messages that no server drops", () => {
  const bench = new Bench();
  bench.offer(...Array.from({ length: 2500 }, (_, at) => file(`${at}.txt`)));
  assert.deepEqual(bench.model.of("offer").map(({ rows }) => rows.length), [1000, 1000, 500]);
});

test("the probe carries one byte, the XSRF cookie and the page's token", async () => {
  const bench = new Bench({}, { baseUrl: "/user/me", token: "t" });
  await bench.welcome();
  const [probe] = Request.all;
  assert.deepEqual([probe.method, probe.url, probe.body.size], ["PUT", "/user/me/nbfiles/landing/probe", 1]);
  assert.deepEqual(probe.headers, { "X-XSRFToken": "2|abc", Authorization: "token t" });
  assert.equal(probe.timeout, 5000);
  assert.equal(bench.desk.lane, "http");
  assert.equal(bench.desk.slower, "");
});

test("a server without the extension, or without the kernel's disk, means the comm lane and a notice", async () => {
  const apart = new Bench();
  await apart.welcome(404, "no such ticket");
  const bare = new Bench();
  await bare.welcome(404, "<html>");
  const silent = new Bench();
  await silent.welcome(0);
  assert.deepEqual([apart.desk.lane, bare.desk.lane, silent.desk.lane], ["comm", "comm", "comm"]);
  const [start, end] = ["Slower route: this Jupyter server ", ", so files go through the notebook connection."];
  assert.equal(apart.desk.slower, `${start}and the kernel share no disk${end}`);
  assert.equal(bare.desk.slower, `${start}has no nbfiles extension${end}`);
  assert.equal(silent.desk.slower, bare.desk.slower);
});

test("a page that no Jupyter server made takes the comm lane without a word", async () => {
  const bench = new Bench({}, null);
  await bench.welcome();
  assert.deepEqual([bench.desk.lane, bench.desk.slower, Request.all.length], ["comm", "", 0]);
});

test("another page's welcome is not heard", async () => {
  const bench = new Bench();
  bench.model.say({ kind: "welcome", page: "another", probe: "p", rows: [] });
  await settled();
  assert.deepEqual([bench.desk.lane, Request.all.length], ["", 0]);
});

test("at most three files travel at the same time", async () => {
  const bench = new Bench();
  await bench.welcome();
  const rows = bench.accept(...["a", "b", "c", "d", "e"].map((name) => file(name)));
  assert.equal(bench.model.of("begin").length, 3);
  for (const row of rows) await bench.go(row);
  assert.equal(Request.all.length, 1 + 3);
  await Request.all[1].end(200);
  assert.equal(bench.model.of("begin").length, 4);
});

test("what has left the browser counts as landed until the kernel knows more", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [row] = bench.accept(file("a", 100));
  await bench.go(row);
  Request.all[1].progress(60);
  assert.equal(row.landed, 60);
  bench.know(row, { state: "uploading", landed: 40, sent: 20 });
  assert.equal(row.landed, 60);
  bench.know(row, { landed: 80 });
  assert.equal(row.landed, 80);
});

test("a PUT that was never taken falls back to the comm lane, and the file is begun again", async () => {
  for (const status of [404, 405, 0]) {
    const bench = new Bench();
    await bench.welcome();
    const [row] = bench.accept(file("a"));
    await bench.go(row);
    await Request.all[1].end(status);
    assert.equal(bench.desk.lane, "comm");
    assert.notEqual(bench.desk.slower, "");
    assert.deepEqual(bench.model.of("begin").map(({ lane }) => lane), ["http", "comm"]);
    assert.deepEqual(bench.model.of("broke"), []);
    await bench.go(row);
    assert.equal(bench.model.of("piece").length, 1);
  }
});

test("a PUT that fails on its way is told to the kernel", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [first, second] = bench.accept(file("a", 100), file("b", 100));
  await bench.go(first);
  await bench.go(second);
  Request.all[1].progress(50);
  await Request.all[1].end(0);
  await Request.all[2].end(507, "disk full");
  const broke = { kind: "broke", key: first.known.key, landing: `landing-${first.known.key}`, status: 0 };
  assert.deepEqual(bench.model.of("broke")[0], broke);
  assert.equal(bench.model.of("broke")[1].status, 507);
  assert.equal(bench.desk.lane, "http");
});

test("a file that moved since it was chosen is unreadable on both lanes", async () => {
  for (const config of [{ baseUrl: "/" }, null]) {
    const bench = new Bench({}, config);
    await bench.welcome();
    const [row] = bench.accept(file("a", 100, { gone: true }));
    await bench.go(row);
    if (config) await Request.all[1].end(0);
    assert.deepEqual(bench.model.of("broke").map(({ status }) => status), [-1]);
  }
});

test("on the comm lane pieces of 8 MiB go two at a time", async () => {
  const bench = new Bench({}, null);
  await bench.welcome();
  const [row, other] = bench.accept(file("a", 20 * MIB), file("b"));
  assert.equal(bench.model.of("begin").length, 1, "one row at a time");
  await bench.go(row);
  const pieces = () => bench.model.of("piece").map(({ offset, bytes }) => [offset / MIB, bytes / MIB]);
  assert.deepEqual(pieces(), [[0, 8], [8, 8]]);
  await bench.ack(row, 8 * MIB);
  assert.deepEqual(pieces().at(-1), [16, 4]);
  await bench.ack(row, 20 * MIB);
  assert.equal(row.landed, 20 * MIB);
  assert.equal(bench.model.of("begin")[1].key, other.known.key);
});

test("lost pieces are sent again, 1 MiB each, for the rest of the page's life", async () => {
  const bench = new Bench({}, null);
  await bench.welcome();
  const [row, other] = bench.accept(file("a", 20 * MIB), file("b", 2 * MIB));
  await bench.go(row);
  await pass(4000);
  assert.equal(bench.model.of("where").length, 1);
  await bench.ack(row, 0);
  await pass(2000);
  assert.equal(bench.model.of("where").length, 2);
  bench.model.sent = [];
  await bench.ack(row, 0);
  assert.deepEqual(bench.model.of("piece").map(({ offset, bytes }) => [offset / MIB, bytes / MIB]), [[0, 1], [1, 1]]);
  bench.know(row, { state: "done", id: "file_1" });
  await bench.go(other);
  assert.equal(bench.model.of("piece").at(-1).bytes, MIB);
});

test("a piece that was read before others were lost is not sent after them", async () => {
  const bench = new Bench({}, null);
  await bench.welcome();
  const slow = file("a", 20 * MIB);
  const [row] = bench.accept(slow);
  await bench.go(row);
  let read = () => {};
  slow.slice = () => ({ arrayBuffer: () => new Promise((resolve) => (read = resolve)) });
  await bench.ack(row, 8 * MIB); // the third piece is being read
  const late = read;
  await pass(4000);
  await bench.ack(row, 8 * MIB);
  await pass(2000);
  bench.model.sent = [];
  await bench.ack(row, 8 * MIB);
  late({ byteLength: 4 * MIB });
  await settled();
  assert.deepEqual(bench.model.of("piece"), []);
  read({ byteLength: MIB });
  await settled();
  assert.deepEqual(bench.model.of("piece").map(({ offset }) => offset / MIB), [8]);
});

test("a kernel that does not answer is waited for and asked again", async () => {
  const bench = new Bench({}, null);
  await bench.welcome();
  const [row] = bench.accept(file("a", 20 * MIB));
  await bench.go(row);
  await pass(5000);
  assert.equal(row.missed, false);
  await pass(1000);
  assert.equal(row.missed, true);
  await pass(4000);
  assert.equal(bench.model.of("where").length, 4);
  await bench.ack(row, 16 * MIB);
  await pass(250);
  assert.equal(row.missed, false);
});

test("a kernel that says nothing is looked for at its server", async () => {
  const bench = new Bench({ kernel: "k-1" });
  await bench.welcome();
  const [row] = bench.accept(file("a.txt"));
  await bench.go(row);
  const asked = () => Request.all.filter(({ method }) => method === "GET");
  await pass(5000);
  assert.deepEqual(asked(), []);
  await pass(250);
  assert.deepEqual(asked().map(({ url }) => url), ["/user/me/api/kernels/k-1"]);
  await asked()[0].end(200);
  assert.deepEqual([bench.desk.away, bench.desk.lost, row.underWay], [false, false, true]);
  await pass(5250);
  await asked()[1].end(0);
  assert.deepEqual([bench.desk.away, row.underWay], [true, true]);
  bench.know(row, { state: "uploading" });
  assert.equal(bench.desk.away, false);
  await pass(5250);
  await asked()[2].end(404);
  assert.deepEqual([row.state, row.known.reason], ["failed", "The kernel restarted. Choose the file again."]);
  assert.equal(bench.desk.lost, true);
});

test("a page says that it is there when it is asked", async () => {
  const { model, desk } = new Bench();
  model.say({ kind: "who" });
  assert.deepEqual(model.of("here"), [{ kind: "here", page: desk.page, lane: "" }]);
});

test("where no server or no kernel is known, nobody is asked for it", async () => {
  for (const [state, config] of [[{}, { baseUrl: "/" }], [{ kernel: "k-1" }, null]]) {
    const bench = new Bench(state, config);
    await bench.welcome();
    bench.offer(file("a.txt"));
    await pass(12_000);
    assert.deepEqual(Request.all.filter(({ method }) => method === "GET"), []);
  }
});

test("an offer without an answer is missed after 1.5 s", async () => {
  const bench = new Bench();
  const [row] = bench.offer(file("a"));
  await pass(1250);
  assert.equal(row.missed, false);
  await pass(500);
  assert.equal(row.missed, true);
  bench.know(row, { state: "queued" });
  await pass(250);
  assert.equal(row.missed, false);
});

test("a cancelled row stops when the kernel says so, and is not begun again", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [row] = bench.accept(file("a"));
  await bench.go(row);
  bench.desk.cancel([row]);
  assert.deepEqual(bench.model.of("cancel"), [{ kind: "cancel", keys: [row.known.key] }]);
  assert.equal(Request.all[1].aborted, false);
  bench.model.say({ kind: "stop", key: row.known.key });
  await settled();
  assert.equal(Request.all[1].aborted, true);
  bench.know(row, { state: "cancelled", reason: "Cancelled. Nothing was kept." });
  await pass(500);
  assert.equal(bench.desk.lane, "http", "an aborted request says nothing about the lane");
  assert.equal(bench.model.of("begin").length, 1);
  assert.deepEqual(bench.model.of("broke"), []);
  assert.equal(row.canRetry, true);
});

test("a busy kernel does not keep a cancelled row's bytes going", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [row] = bench.accept(file("a"));
  await bench.go(row);
  bench.desk.cancel([row]);
  await pass(2000);
  assert.equal(Request.all[1].aborted, true);
});

test("a row that was not begun is not begun after it was cancelled", async () => {
  const bench = new Bench();
  const [row] = bench.accept(file("a"));
  bench.desk.cancel([row]);
  await bench.welcome();
  assert.deepEqual(bench.model.of("begin"), []);
});

test("a retried row is begun again, but not if the kernel has its bytes", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [lost, kept] = bench.accept(file("a"), file("b"));
  bench.know(lost, { state: "failed", reason: "It broke." });
  bench.know(kept, { state: "failed", reason: "Claude is busy.", ready: true });
  assert.deepEqual([lost.canRetry, kept.canRetry], [true, true]);
  lost.tell("retry");
  assert.deepEqual(bench.model.of("retry"), [{ kind: "retry", key: lost.known.key }]);
  bench.model.sent = [];
  bench.know([lost, kept], { state: "queued", reason: "" });
  assert.deepEqual(bench.model.of("begin").map(({ key }) => key), [lost.known.key]);
});

test("another page's row can be cancelled here, and retried only if the kernel has its bytes", () => {
  const bench = new Bench();
  const known = { key: "0123-1", name: "a", path: "", size: 9, mime: "", landed: 0, sent: 0, reason: "", side: "" };
  Object.assign(known, { id: "", block: "", variable: "", state: "queued", ready: false });
  bench.model.say({ kind: "rows", rows: [known] });
  const [row] = bench.desk.list;
  assert.deepEqual(bench.model.of("begin"), []);
  assert.equal(row.underWay, true);
  bench.know(row, { state: "failed" });
  assert.equal(row.canRetry, false);
  bench.know(row, { ready: true });
  assert.equal(row.canRetry, true);
});

test("a removed row goes at once and does not come back", () => {
  const bench = new Bench();
  const [row] = bench.accept(file("a"));
  bench.know(row, { state: "done", id: "file_1" });
  bench.desk.remove([row]);
  assert.equal(bench.desk.rows.size, 0);
  assert.deepEqual(bench.model.of("remove"), [{ kind: "remove", keys: [row.known.key] }]);
  bench.know(row, { variable: "reports[0]" });
  assert.equal(bench.desk.rows.size, 0);
});

test("a row that the kernel removes takes its bytes along", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [row] = bench.accept(file("a"));
  await bench.go(row);
  bench.model.say({ kind: "rows", rows: [], removed: [row.known.key] });
  await settled();
  assert.equal(Request.all[1].aborted, true);
  assert.equal(bench.desk.rows.size, 0);
});

test("a restarted kernel fails what was under way, and says so until it answers", async () => {
  const bench = new Bench();
  await bench.welcome();
  const [done, going] = bench.accept(file("a"), file("b"));
  bench.know(done, { state: "done", id: "file_1" });
  await bench.go(going);
  bench.model.emit("comm_live_update");
  await settled();
  assert.equal(Request.all[1].aborted, true);
  assert.deepEqual([done.state, going.state], ["done", "failed"]);
  assert.equal(going.known.reason, "The kernel restarted. Choose the file again.");
  assert.deepEqual([bench.desk.lost, going.canRetry], [true, false]);
  const [late] = bench.offer(file("c"));
  assert.equal(late.state, "failed");
  assert.equal(bench.model.of("offer").length, 1);
  bench.model.say({ kind: "welcome", page: bench.desk.page, probe: null, rows: [] });
  assert.equal(bench.desk.lost, false);
});

test("a model that cannot send is a lost kernel, and throws nothing", () => {
  surround(null);
  const model = new Model({ rows: [{ key: "0-1", name: "a", path: "", size: 1, state: "done", landed: 1, sent: 1 }] });
  model.send = () => {
    throw new Error("no comm");
  };
  const desk = new Desk(model);
  assert.equal(desk.lost, true);
  assert.deepEqual(desk.list.map(({ state }) => state), ["done"]);
});

test("the newest news is said, one text in 5 s", async () => {
  const bench = new Bench();
  await bench.welcome();
  const rows = bench.accept(file("a"), file("b"), file("c"));
  await pass(500);
  assert.deepEqual(bench.said, ["3 files added."]);
  bench.know(rows[0], { state: "done", id: "file_1", variable: "reports[0]" });
  bench.know(rows[1], { state: "done", id: "file_2", variable: "reports[1]" });
  await pass(4000);
  assert.deepEqual(bench.said, ["3 files added."]);
  bench.know(rows[2], { state: "done", id: "file_3", variable: "reports[2]" });
  await pass(1500);
  assert.deepEqual(bench.said, ["3 files added.", "All 3 files done, bound to reports."]);
});

test("what is said names a bound variable only, and counts what went wrong", async () => {
  const bench = new Bench();
  const rows = bench.accept(file("a"), file("b"), file("c"));
  bench.know(rows[0], { state: "done", id: "file_1", variable: "w.value[0]" });
  assert.equal(bench.desk.progress(), "1 of 3 files done.");
  bench.know(rows[1], { state: "failed", reason: "It broke." });
  bench.know(rows[2], { state: "refused", reason: "Not sent: empty file." });
  assert.equal(bench.desk.progress(), "1 of 3 files done, 1 failed, 1 refused.");
  bench.desk.remove(rows.slice(1));
  assert.equal(bench.desk.progress(), "1 file done.");
});

test("a failure is said at once, shortly and with its way out", async () => {
  const bench = new Bench();
  const [row] = bench.accept(file("survey\u202e.xlsx"));
  const reason = "Claude is busy (429) after 4 tries. The file is in the kernel.";
  bench.know(row, { state: "failed", reason, ready: true });
  await pass(250);
  assert.equal(bench.said.find((text) => text.startsWith("!")), "! survey<U+202E>.xlsx failed: Claude is busy. Retry is available.");
});

test("a file that is too large is refused in few words, and many together in fewer", async () => {
  const bench = new Bench();
  const [large, ...others] = bench.offer(file("walk.mov", 1.21e9), file("a", 0), file("b", 0));
  bench.know(large, { state: "refused", reason: "Not sent: 1.21 GB is over the 500 MB limit for one file." });
  await pass(250);
  bench.know(others, { state: "refused", reason: "Not sent: empty file." });
  await pass(250);
  const urgent = bench.said.filter((text) => text.startsWith("!")).map((text) => text.replace("\u00a0", " "));
  assert.deepEqual(urgent, ["! walk.mov was not sent: over 500 MB.", "! 2 files failed or not sent."]);
});

test("the time that files took is counted while any is under way", async () => {
  const bench = new Bench();
  const [row] = bench.accept(file("a"));
  await pass(3000);
  bench.know(row, { state: "done", id: "file_1" });
  await pass(3000);
  assert.equal(bench.desk.elapsed, 3000);
});

test("both entry points find the same desk by its uid, and its end says leave", async () => {
  surround(null);
  const first = new Model({ uid: "twice" });
  const stop = widget.initialize({ model: first });
  widget.initialize({ model: new Model({ uid: "twice" }) });
  const [{ page }] = first.of("hello");
  stop();
  assert.deepEqual(first.sent.at(-1), { kind: "leave", page, lane: "" });
  const second = new Model({ uid: "twice" });
  widget.initialize({ model: second });
  assert.notEqual(second.of("hello")[0].page, page);
});
