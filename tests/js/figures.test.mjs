// Sizes, times, names and what else is written without a page.
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { counted, formatSize, splitName, throttle, visible } from "../../nbfiles/widget/static/common.js";
import { Speed, formatDuration, formatLeft, formatPart, limitsText } from "../../nbfiles/widget/static/upload.js";

const plain = (text) => text.replaceAll("\u00a0", " ");

test("sizes are decimal and have 3 significant digits", () => {
  const sizes = { 0: "0 B", 96: "96 B", 999: "999 B", 1000: "1.00 kB", 412_345: "412 kB", 999_499: "999 kB" };
  Object.assign(sizes, { 999_500: "1.00 MB", 24_100_000: "24.1 MB", 99_960_000: "100 MB", 1_210_000_000: "1.21 GB" });
  for (const [bytes, text] of Object.entries(sizes)) assert.equal(plain(formatSize(Number(bytes))), text);
  assert.equal(formatSize(96), "96\u00a0B");
});

test("of two sizes the first has no unit if it is the second's", () => {
  assert.equal(plain(formatPart(25_900_000, 144_000_000)), "25.9 of 144 MB");
  assert.equal(plain(formatPart(412_000, 144_000_000)), "412 kB of 144 MB");
  assert.equal(plain(formatPart(12, 2_000)), "12 B of 2.00 kB");
});

test("what is left is rounded up", () => {
  for (const [seconds, text] of [[0.2, "1 s left"], [7.1, "8 s left"], [60, "1 min left"], [200, "4 min left"], [4000, "2 h left"]]) {
    assert.equal(plain(formatLeft(seconds)), text);
  }
});

test("a time that has passed has the digits that matter", () => {
  for (const [seconds, text] of [[0.01, "0.1 s"], [3.44, "3.4 s"], [42.4, "42 s"], [59.6, "1 min"], [200, "3 min 20 s"]]) {
    assert.equal(plain(formatDuration(seconds)), text);
  }
});

test("one file is not files", () => {
  assert.equal(counted(1, "file"), "1 file");
  assert.equal(counted(1902, "file"), "1,902 files");
});

test("hidden and reordering characters are marked", () => {
  assert.equal(visible("a\u202eb\u200b\u0007\n\ud800"), "a<U+202E>b<U+200B><U+0007><U+000A><U+D800>");
  assert.equal(visible("\u{e0041}é中🙂<b>"), "<U+E0041>é中🙂<b>");
});

test("a name is cut before the ending and 4 letters more", () => {
  assert.deepEqual(splitName("audited final.pdf"), ["audited f", "inal.pdf"]);
  assert.deepEqual(splitName("measurements/2026-10/sensor-04.parquet"), ["measurements/2026-10/senso", "r-04.parquet"]);
  assert.deepEqual(splitName("README"), ["RE", "ADME"]);
  assert.deepEqual(splitName(".bashrc"), [".ba", "shrc"]);
  assert.deepEqual(splitName("a.b"), ["", "a.b"]);
});

test("a name is never cut within a letter, and a tail of marks stays short", () => {
  assert.deepEqual(splitName("re\u0301sume\u0301s"), ["re\u0301s", "ume\u0301s"]);
  assert.deepEqual(splitName("🙂🙂🙂🙂🙂🙂"), ["🙂🙂", "🙂🙂🙂🙂"]);
  const [head, tail] = splitName(`${"\u202e".repeat(9)}.pdf`);
  assert.equal(head + tail, `${"\u202e".repeat(9)}.pdf`);
  assert.equal(tail, "\u202e.pdf");
});

test("the limits are said in words", () => {
  const limits = { accept: "", multiple: true, max_files: null, max_bytes: 500e6 };
  assert.equal(plain(limitsText(limits)), "Up to 500 MB each");
  assert.equal(plain(limitsText({ ...limits, accept: ".pdf" })), "PDF only, up to 500 MB each");
  assert.equal(
    plain(limitsText({ ...limits, accept: ".tar.gz,image/*", max_files: 10 })),
    "TAR.GZ, image only, up to 10 files, up to 500 MB each",
  );
  assert.equal(plain(limitsText({ ...limits, multiple: false, max_files: 10 })), "Up to 500 MB");
});

test("speed is the mean of 3 s, and what is left is said from 2 s on", () => {
  const speed = new Speed();
  speed.note("sent", 0, 1000);
  assert.equal(speed.text(9e6), "");
  speed.note("sent", 1e6, 2000);
  assert.equal(plain(speed.text(9e6)), "1.00 MB/s");
  speed.note("sent", 2e6, 3000);
  assert.equal(plain(speed.text(9e6)), "1.00 MB/s · 7 s left");
  speed.note("sent", 5e6, 4000);
  speed.note("sent", 8e6, 5000);
  assert.equal(plain(speed.text(9e6)), "2.33 MB/s · 1 s left");
});

test("a stalled, a finished, another and a repeated hop have no speed", () => {
  const speed = new Speed();
  for (const at of [0, 1000, 2000, 3000, 4000]) speed.note("landed", 5, at);
  assert.equal(speed.text(10), "");
  speed.note("landed", 10, 5000);
  assert.equal(speed.text(10), "");
  speed.note("sent", 3, 6000);
  assert.equal(speed.text(10), "");
  speed.note("sent", 9, 7000);
  assert.equal(plain(speed.text(10)), "6 B/s");
  speed.note("sent", 2, 8000);
  assert.equal(speed.text(10), "");
});

test("work is done at once, then at most once in its time", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e9 });
  const work = mock.fn();
  const soon = throttle(work, 100, (does) => does());
  soon();
  context.mock.timers.tick(1);
  assert.equal(1, work.mock.callCount());
  for (let times = 0; times < 5; times++) soon();
  context.mock.timers.tick(98);
  assert.equal(1, work.mock.callCount());
  context.mock.timers.tick(2);
  assert.equal(2, work.mock.callCount());
  context.mock.timers.tick(1000);
  assert.equal(2, work.mock.callCount());
});
