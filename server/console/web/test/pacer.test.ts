import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { paced } from "../src/pacer.ts";

// settle lets the promises of a step run.
const settle = async () => {
  for (let i = 0; i < 5; i++) await Promise.resolve();
};

test("no second sees more than the rate", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const sent: number[] = [];
    let now = 0;
    const done = paced(Array.from({ length: 100 }, (_, i) => i), 40, () => sent.push(now), new AbortController().signal, () => {});
    while (sent.length < 100 && now < 10_000) {
      now++;
      mock.timers.tick(1);
      await settle();
    }
    assert.equal(await done, 100);
    for (const from of sent) {
      const within = sent.filter((t) => t >= from && t < from + 1000).length;
      assert.ok(within <= 40, `${within} in the second after ${from}`);
    }
    assert.ok(sent.at(-1)! >= 99 * 25, `the last went at ${sent.at(-1)}`);
  } finally {
    mock.timers.reset();
  }
});

test("a late timer is not made up for", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    let sent = 0;
    void paced([1, 2, 3, 4, 5, 6], 40, () => sent++, new AbortController().signal, () => {});
    mock.timers.tick(10_000);
    await settle();
    assert.equal(sent, 2, "ten seconds at once let one item go, not four hundred");
  } finally {
    mock.timers.reset();
  }
});

test("stopped in the middle, nothing more is sent", async () => {
  const stop = new AbortController();
  const sent: string[] = [];
  const told: string[] = [];
  const done = await paced(Array.from("abcdef"), 1000, (c) => {
    sent.push(c);
    if (c === "c") stop.abort();
  }, stop.signal, (n, total) => told.push(`${n}/${total}`));
  assert.equal(done, 3);
  assert.equal(sent.join(""), "abc");
  assert.deepEqual(told, ["1/6", "2/6", "3/6"]);
});
