import assert from "node:assert/strict";
import { test } from "node:test";
import { bounded, longest } from "../src/flow.ts";
import { chunkBytes, chunks, controls, isCommand } from "../src/input.ts";

const decode = (list: Uint8Array[]) => Buffer.concat(list).toString();

test("pasted text is divided, and Enter is a carriage return", () => {
  const list = chunks("echo ж\n".repeat(20), false);
  assert.ok(list.every((c) => c.length > 0 && c.length <= chunkBytes));
  assert.equal(decode(list), "echo ж\r".repeat(20));
});

test("marks are put around it where the guest asked for them", () => {
  assert.equal(decode(chunks("ls\n", true)), "\u001b[200~ls\r\u001b[201~");
  assert.deepEqual(chunks("", true), []);
});

test("a text of more than one line is a command", () => {
  assert.ok(isCommand("a\nb") && isCommand("a\r") && !isCommand("a b"));
});

test("control keys send their characters", () => {
  const data = Object.fromEntries(controls().map((c) => [c.label, c.data]));
  assert.deepEqual([data["Ctrl+C"], data["Ctrl+D"], data["Ctrl+]"], data["Ctrl+\\"], data["F1"], data["F12"]], ["\u0003", "\u0004", "\u001d", "\u001c", "\u001bOP", "\u001b[24~"]);
});

test("a flood is bounded, left out and said", () => {
  const written: (string | Uint8Array)[] = [];
  const waiting: (() => void)[] = [];
  const write = bounded((data, shown) => {
    written.push(data);
    waiting.push(shown);
  });
  for (let i = 0; i < 64; i++) write(new Uint8Array(64 * 1024));
  const bytes = written.reduce((n, w) => n + w.length, 0);
  assert.equal(bytes, longest);
  assert.ok(written.every((w) => w.length <= 4096), "the page lives between the pieces");
  write(new Uint8Array(1));
  for (const shown of waiting.splice(0)) shown();
  assert.equal(written.at(-1), `\u0018\r\n[${48 * 64 * 1024 + 1} bytes of output came too fast and are not shown]\r\n`);
  write(new Uint8Array([0x61]));
  assert.deepEqual(written.at(-1), new Uint8Array([0x61]), "what comes after is shown again");
});
