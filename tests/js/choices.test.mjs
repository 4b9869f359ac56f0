// What a person hands over: chosen, pasted or dropped files and folders.
import assert from "node:assert/strict";
import { File } from "node:buffer";
import { test } from "node:test";
import { chosen, dropped, pasted } from "../../nbfiles/widget/static/upload.js";

globalThis.File ??= File;
const WHEN = new Date(2026, 10, 24, 14, 2, 31);
const named = (choices) => choices.map(({ file, path }) => [file.name, path]);
const leaf = (fullPath) => ({ isFile: true, fullPath, file: (done) => done({ name: fullPath.split("/").at(-1) }) });

function folder(fullPath, entries, batch = 2) {
  const left = [...entries];
  return { isDirectory: true, fullPath, createReader: () => ({ readEntries: (done) => done(left.splice(0, batch)) }) };
}

function item(entry, file = { name: "plain.pdf" }) {
  return { kind: "file", webkitGetAsEntry: () => entry, getAsFile: () => file };
}

test("chosen files have a path only if a folder was chosen", () => {
  const files = [{ name: "a.csv", webkitRelativePath: "data/a.csv" }, { name: "b.pdf", webkitRelativePath: "" }];
  assert.deepEqual(named(chosen(files)), [["a.csv", "data/a.csv"], ["b.pdf", ""]]);
  assert.deepEqual(chosen(null), []);
});

test("a pasted screenshot and a pasted text are named by the time", async () => {
  const data = { files: [new File(["x"], "image.png", { type: "image/png" }), new File(["y"], "plan.png")], getData: () => "text" };
  assert.deepEqual(named(pasted(data, WHEN)), [["Pasted image 14.02.31.png", ""], ["plan.png", ""]]);
  assert.equal(pasted(data, WHEN)[0].file.type, "image/png");
  const [{ file }] = pasted({ files: [], getData: () => "some text" }, WHEN);
  assert.equal(file.name, "Pasted text 14.02.31.txt");
  assert.equal(await file.text(), "some text");
});

test("a paste of nothing is nothing", () => {
  assert.deepEqual(pasted({ files: [], getData: () => "" }, WHEN), []);
  assert.deepEqual(pasted(null, WHEN), []);
});

test("a dropped folder is read to its end, with paths", async () => {
  const deep = folder("/data/deep", [leaf("/data/deep/d.csv")]);
  const data = folder("/data", [leaf("/data/a.csv"), leaf("/data/b.csv"), deep, leaf("/data/c.csv")]);
  const items = [item(data), item({ isFile: true }), { kind: "string" }];
  const expected = [["a.csv", "data/a.csv"], ["b.csv", "data/b.csv"], ["d.csv", "data/deep/d.csv"], ["c.csv", "data/c.csv"]];
  assert.deepEqual(named(await dropped({ items })), [...expected, ["plain.pdf", ""]]);
});

test("what has gone since it was dropped is left out", async () => {
  const gone = { isFile: true, fullPath: "/data/gone", file: (_done, failed) => failed(new Error("NotFoundError")) };
  const data = folder("/data", [gone, leaf("/data/a.csv")]);
  assert.deepEqual(named(await dropped({ items: [item(data)] })), [["a.csv", "data/a.csv"]]);
  assert.deepEqual(await dropped({ items: [item(null, null)] }), []);
});
