import assert from "node:assert/strict";
import { test } from "node:test";
import { combinations, keysymOf, strokesOf } from "../src/keys.ts";

test("every printable character of ASCII has its key on a US keyboard", () => {
  for (let point = 0x20; point < 0x7f; point++) {
    const character = String.fromCharCode(point);
    const [stroke] = strokesOf(character);
    assert.equal(stroke!.keysym, point, character);
    assert.ok(stroke!.code, `${character} has no key`);
  }
});

test("the upper characters are made with shift on the key of the lower ones", () => {
  const pairs = { a: "A", z: "Z", "1": "!", "2": "@", "9": "(", "0": ")", "-": "_", "=": "+", "[": "{", "\\": "|", ";": ":", "'": '"', "`": "~", "/": "?" };
  for (const [lower, upper] of Object.entries(pairs)) {
    const [low, up] = [strokesOf(lower)[0]!, strokesOf(upper)[0]!];
    assert.equal(low.shift, false, lower);
    assert.equal(up.shift, true, upper);
    assert.equal(low.code, up.code, `${lower} and ${upper}`);
  }
});

test("newline and tab are keys", () => {
  assert.deepEqual(strokesOf("\n\t"), [
    { keysym: 0xff0d, code: "Enter", shift: false },
    { keysym: 0xff09, code: "Tab", shift: false },
  ]);
});

test("what a US keyboard lacks is a keysym alone", () => {
  assert.deepEqual(strokesOf("é€ж🙂"), [
    { keysym: 0xe9, code: null, shift: false },
    { keysym: 0x010020ac, code: null, shift: false },
    { keysym: 0x01000436, code: null, shift: false },
    { keysym: 0x0101f642, code: null, shift: false },
  ]);
  assert.equal(keysymOf("\u0085"), 0x01000085, "the second block of controls is not Latin-1");
});

test("combinations are held in order", () => {
  const all = combinations();
  assert.equal(new Set(all.map((c) => c.label)).size, all.length, "labels differ");
  assert.deepEqual(all[0]!.keys.map((k) => k.keysym), [0xffe3, 0xffe9, 0xffff]);
  assert.deepEqual(all.find((c) => c.label === "Ctrl+Alt+F7")!.keys.at(-1), { keysym: 0xffc4, code: "F7" });
  assert.deepEqual(all.find((c) => c.label === "F12")!.keys, [{ keysym: 0xffc9, code: "F12" }]);
});
