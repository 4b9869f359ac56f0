// The size of what every view of the upload widget loads over the kernel's connection.
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";

const LIMIT = 40_000;

test("upload.js is smaller than 40,000 bytes", () => {
  const { size } = statSync(new URL("../../nbfiles/widget/static/upload.js", import.meta.url));
  assert.ok(size < LIMIT, `it has ${size}`);
});
