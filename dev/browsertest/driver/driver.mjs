// Drives one browser for a Go test: commands come as lines of JSON on standard
// input, each is answered by one line on standard output, in order.
//
//   node driver.mjs /usr/bin/chromium
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const browser = await chromium.launch({
  executablePath: process.argv[2],
  headless: true,
  timeout: 120_000, // machines that test are busy
  // Tests may run as root, in containers with little shared memory.
  chromiumSandbox: process.getuid() !== 0,
  args: ["--disable-gpu", "--disable-quic", "--disable-dev-shm-usage"],
});
const pages = new Map();

// open makes a page with a profile of its own, and notes what goes wrong in it.
async function open({ name, origin, width, height, scheme, touch }) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme || "light", hasTouch: Boolean(touch), acceptDownloads: false });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin });
  const page = await context.newPage();
  const cdp = await context.newCDPSession(page);
  const problems = [];
  const requests = [];
  await page.addInitScript(() => {
    globalThis.policyViolations = [];
    document.addEventListener("securitypolicyviolation", (e) => globalThis.policyViolations.push(`${e.effectiveDirective} ${e.blockedURI} ${e.sample}`));
  });
  page.on("console", (m) => {
    if (m.type() === "error") problems.push(`console: ${m.text()} ${m.location().url}`);
  });
  page.on("pageerror", (e) => problems.push(`uncaught: ${e.message}`));
  page.on("dialog", (d) => {
    if (d.type() !== "beforeunload") problems.push(`dialog: ${d.message()}`);
    d.accept().catch(() => {});
  });
  page.on("popup", (p) => problems.push(`popup: ${p.url()}`));
  page.on("download", (d) => problems.push(`download: ${d.suggestedFilename()}`));
  page.on("request", (r) => requests.push(r.url()));
  page.on("websocket", (w) => requests.push(w.url()));
  pages.set(name, { context, page, cdp, problems, requests });
}

// The words of the language between a test and its browser.
const verbs = {
  open: async (c) => open(c),
  close: async ({ page, context }) => {
    await page.close();
    await context.close();
  },
  goto: async ({ page }, { url }) => (await page.goto(url, { waitUntil: "load" }))?.status() ?? 0,
  // By the debugger: the page's policy forbids scripts to evaluate text.
  evaluate: async ({ cdp }, { expression }) => {
    const answer = await cdp.send("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails) throw new Error(answer.exceptionDetails.exception?.description ?? answer.exceptionDetails.text);
    return answer.result.value ?? null;
  },
  // As if the person had copied it, which browsers want to see.
  copy: async ({ cdp }, { text }) => {
    const expression = `navigator.clipboard.writeText(${JSON.stringify(text)})`;
    const { exceptionDetails } = await cdp.send("Runtime.evaluate", { expression, awaitPromise: true, userGesture: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  },
  click: async ({ page }, { selector }) => page.click(selector, { timeout: 30_000 }),
  fill: async ({ page }, { selector, text }) => page.fill(selector, text, { timeout: 30_000 }),
  press: async ({ page }, { keys }) => page.keyboard.press(keys),
  type: async ({ page }, { text }) => page.keyboard.type(text),
  resize: async ({ page }, { width, height }) => page.setViewportSize({ width, height }),
  scheme: async ({ page }, { scheme }) => page.emulateMedia({ colorScheme: scheme }),
  screenshot: async ({ page }, { path }) => page.screenshot({ path }),
  problems: async ({ page, problems, requests, cdp }) => {
    const { result } = await cdp.send("Runtime.evaluate", { expression: "globalThis.policyViolations ?? []", returnByValue: true });
    return { problems, requests, violations: result.value ?? [], title: await page.title() };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    const state = command.verb === "open" ? command : pages.get(command.name);
    const result = await verbs[command.verb](state, command);
    answer = { result: result ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
