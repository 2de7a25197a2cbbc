import assert from "node:assert/strict";
import { test } from "node:test";
import { clean, remark } from "../src/text.ts";

test("what is invisible is left out and counted", () => {
  const got = clean("a\u001b[31mb\u0000c\u202Ed\u2066e\u009b\u007f\tf", 100);
  assert.equal(got.text, "a[31mbcde\tf");
  assert.equal(got.dropped, 6);
  assert.match(remark(got), /^6 invisible characters were left out\.$/);
});

test("newlines are made alike", () => {
  assert.equal(clean("a\r\nb\rc\nd", 100).text, "a\nb\nc\nd");
  assert.equal(remark(clean("a\r\nb", 100)), "");
});

test("the limit counts characters and divides none", () => {
  assert.deepEqual(clean("🙂🙂🙂", 2), { text: "🙂🙂", dropped: 0, cut: true });
  assert.deepEqual(clean("🙂🙂", 2), { text: "🙂🙂", dropped: 0, cut: false });
  assert.match(remark(clean("abc", 2)), /too long/);
});

test("a text without end is not looked at beyond the limit", () => {
  const got = clean("x".repeat(50_000_000), 10);
  assert.deepEqual(got, { text: "x".repeat(10), dropped: 0, cut: true });
  assert.equal(clean("\u0000".repeat(1000) + "x", 10).cut, true);
});

test("markup stays what it is: text", () => {
  const markup = "<img src=x onerror=alert(1)>&amp;";
  assert.equal(clean(markup, 100).text, markup);
});
