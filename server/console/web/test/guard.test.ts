import assert from "node:assert/strict";
import { test } from "node:test";
import headless from "@xterm/headless";
import { guard, typed } from "../src/guard.ts";

function terminal() {
  const term = new headless.Terminal({ cols: 80, rows: 24, allowProposedApi: true });
  const sent: string[] = [];
  const titles: string[] = [];
  term.onData((data) => sent.push(data));
  term.onBinary((data) => sent.push(data));
  term.onTitleChange((title) => titles.push(title));
  const write = (data: string) => new Promise<void>((resolve) => term.write(data, resolve));
  const screen = () => Array.from({ length: term.rows }, (_, i) => term.buffer.active.getLine(term.buffer.active.viewportY + i)!.translateToString(true)).join("\n");
  return { term, sent, titles, write, screen };
}

test("without the guard a guest types into its own input", async () => {
  const { sent, titles, write } = terminal();
  await write("\u001b[c\u001b[6n\u001b]0;owned\u0007\u001bP$qm\u001b\\");
  assert.equal(sent.length, 3, "the sweep below would prove nothing");
  assert.deepEqual(titles, ["owned"]);
});

test("no sequence whatever is answered", async () => {
  const { term, sent, titles, write } = terminal();
  guard(term.parser);
  const finals = Array.from({ length: 0x7e - 0x40 + 1 }, (_, i) => String.fromCharCode(0x40 + i));
  const intermediates = ["", ..." !\"#$%&'()*+,-./"];
  const parameters = ["", "0", "1", "2", "4", "5", "6", "8", "11", "14", "15", "16", "18", "19", "20", "21", "25", "26", "53", "996", "1004", "1;1", "0;0;0"];
  for (const introducer of ["\u001b[", "\u009b"]) {
    for (const prefix of ["", "<", "=", ">", "?"]) {
      for (const between of intermediates) {
        let batch = "";
        for (const p of parameters) for (const f of finals) batch += introducer + prefix + p + between + f;
        await write(batch);
      }
    }
  }
  for (const introducer of ["\u001bP", "\u0090"]) {
    for (const between of ["", "$", "+", "="]) {
      for (const f of finals) await write(`${introducer}${between}${f}m\u001b\\${introducer}1${between}${f}544e\u001b\\`);
    }
  }
  for (let command = 0; command < 2000; command++) {
    await write(`\u001b]${command};?\u0007\u001b]${command};1;?\u001b\\\u001b]${command};c;?\u0007`);
  }
  await write("\u0005\u001bZ\u001b[?1004h\u001b[?2004h\u001b[?1003h\u001b_Gi=1,a=q;\u001b\\\u001b^x\u001b\\");
  assert.deepEqual(sent, []);
  assert.deepEqual(titles, []);
});

test("text, colour and cursor pass", async () => {
  const { term, write, screen } = terminal();
  guard(term.parser);
  await write("\u001b[31mred\u001b[0m\u001b[3;5Hhere\u001b[2Aup\u001b]8;;http://example.invalid\u0007link\u001b]8;;\u0007");
  assert.match(screen(), /^red +uplink\n\n {4}here/);
  assert.equal(term.buffer.active.getLine(0)!.getCell(0)!.getFgColor(), 1);
});

test("counts without bound do not stop the page", async () => {
  const { term, write, screen } = terminal();
  guard(term.parser);
  await write("x");
  const began = performance.now();
  for (const final of ["@", "I", "L", "M", "P", "S", "T", "X", "Z", "b"]) await write(`\u001b[2147483647${final}`);
  await write("\u001b[2147483647 @\u001b[2147483647 A\u001b[2147483647'}\u001b[2147483647'~");
  assert.ok(performance.now() - began < 2000);
  assert.match(screen(), /^x/);
});

test("what a person types is told from what a terminal makes up", () => {
  for (const data of ["a", "\r", "\u001b[A", "\u001b[1;5R", "\u001bP", "\u001b]", "\u001b\\", "ж", "\u001bx"]) assert.ok(typed(data), JSON.stringify(data));
  for (const data of ["\u001bP1$r0m\u001b\\", "\u001b]11;rgb:0000/0000/0000\u001b\\", "\u001b_G\u001b\\", "\u001b^x\u001b\\"]) assert.ok(!typed(data), JSON.stringify(data));
});
