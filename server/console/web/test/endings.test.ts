import assert from "node:assert/strict";
import { test } from "node:test";
import { left, warning } from "../src/countdown.ts";
import { closed, refused } from "../src/endings.ts";

test("each close code has words of its own, and none tries again", () => {
  const codes = [4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 1001, 1006, 1000];
  const endings = codes.map(closed);
  assert.equal(new Set(endings.map((e) => e.title)).size, codes.length);
  for (const e of endings) {
    assert.ok(e.detail.length > 10, e.title);
    assert.equal(e.again, false, e.title);
  }
  assert.match(closed(4999).detail, /4999/);
});

test("only an address that is still good is tried again", () => {
  for (const [status, again] of [[410, false], [404, false], [200, true], [429, true], [503, true], [0, true]] as const) {
    assert.equal(refused(status).again, again, String(status));
  }
});

test("the time left is written as a clock does", () => {
  assert.deepEqual([3723, 1800, 59.2, 5, 0, -3].map(left), ["1:02:03", "30:00", "1:00", "0:05", "0:00", "0:00"]);
});

test("warnings come once, at five minutes and at one", () => {
  const said = Array.from({ length: 400 }, (_, i) => warning(400 - i - 0.3)).filter(Boolean);
  assert.deepEqual(said, ["This session ends in five minutes.", "This session ends in one minute."]);
});
