// The comm lane's window: pieces, acknowledgements, and what happens when none come.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Flight } from "../../nbfiles/widget/static/upload.js";

const MIB = 2 ** 20;

test("two pieces are in the air, and each acknowledgement lets one more go", () => {
  const flight = new Flight(25, 0, 10);
  assert.deepEqual(flight.take(0), [0, 10]);
  assert.deepEqual(flight.take(0), [10, 20]);
  assert.equal(flight.take(0), null);
  assert.equal(flight.hear(10, 5), false);
  assert.deepEqual(flight.take(5), [20, 25]);
  assert.equal(flight.take(5), null);
  flight.hear(25, 6);
  assert.equal(flight.received, 25);
  assert.equal(flight.take(6), null);
});

test("a flight starts where the kernel already is", () => {
  assert.deepEqual(new Flight(25, 10, 10).take(0), [10, 20]);
});

test("after 4 s without a word the kernel is asked, and then every 2 s", () => {
  const flight = new Flight(100, 0, 10);
  assert.equal(flight.asks(10_000), false, "nothing is in the air");
  flight.take(10_000);
  const asked = [];
  for (let at = 10_000; at <= 20_000; at += 500) if (flight.asks(at)) asked.push(at - 10_000);
  assert.deepEqual(asked, [4000, 6000, 8000, 10_000]);
});

test("an acknowledgement ends the asking", () => {
  const flight = new Flight(100, 0, 10);
  flight.take(1000);
  flight.take(1000);
  assert.ok(flight.asks(5000));
  assert.equal(flight.hear(10, 5100), false);
  assert.equal(flight.asks(9000), false);
  assert.ok(flight.asks(9100));
});

test("the same answer a second later means that pieces were lost: smaller ones go from there", () => {
  const flight = new Flight(40 * MIB, 0, 8 * MIB);
  flight.take(1000);
  flight.take(1000);
  flight.hear(8 * MIB, 1500);
  flight.take(1500);
  assert.ok(flight.asks(5500));
  assert.equal(flight.hear(8 * MIB, 5600), false, "it may still be on its way");
  assert.equal(flight.hear(8 * MIB, 6500), false, "not a second later");
  assert.equal(flight.hear(8 * MIB, 6600), true);
  assert.deepEqual(flight.take(6600), [8 * MIB, 9 * MIB]);
  assert.deepEqual(flight.take(6600), [9 * MIB, 10 * MIB]);
  assert.equal(flight.round, 1);
});

test("an acknowledgement that comes twice unasked is no loss", () => {
  const flight = new Flight(100, 0, 10);
  flight.take(0);
  flight.take(0);
  flight.hear(10, 100);
  assert.equal(flight.hear(10, 2000), false);
  assert.equal(flight.hear(10, 9000), false);
});
