// The page that shows a VM's serial line.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { bounded } from "./flow.ts";
import { element, frame } from "./frame.ts";
import { guard, typed } from "./guard.ts";
import { chunks, chunksPerSecond, controls, isCommand, pasteLimit } from "./input.ts";
import { open } from "./stream.ts";
import { strictStyles } from "./strict.ts";
import { clean } from "./text.ts";
import { followTheme } from "./theme.ts";
import { typing } from "./typing.ts";

strictStyles();
const term = new Terminal({
  fontFamily: 'ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", "Liberation Mono", monospace',
  fontSize: 14,
  scrollback: 5000,
  cursorBlink: false,
  minimumContrastRatio: 4.5,
});
guard(term.parser);
followTheme((theme) => (term.options.theme = theme));

const page = frame(
  () => term.focus(),
  () => term.blur(),
);
const fit = new FitAddon();
term.loadAddon(fit);
term.open(page.stage);
const size = element("size");
const refit = () => {
  fit.fit();
  size.textContent = `${term.cols} × ${term.rows}`;
};
new ResizeObserver(refit).observe(page.stage);
refit();

const { socket, ended } = open(page.stream);
const send = (data: Uint8Array<ArrayBuffer>) => {
  if (socket.readyState === WebSocket.OPEN) socket.send(data);
};
const encoder = new TextEncoder();
const output = bounded((data, shown) => term.write(data, shown));
socket.addEventListener("open", () => page.connected("Connected"));
socket.addEventListener("message", (event) => {
  if (event.data instanceof ArrayBuffer) output(new Uint8Array(event.data));
});
term.onData((data) => {
  if (typed(data)) send(encoder.encode(data));
});
term.onBinary((data) => send(Uint8Array.from(data, (c) => c.charCodeAt(0) & 0xff)));

const typist = typing({
  limit: pasteLimit,
  perSecond: chunksPerSecond,
  items: (text) => chunks(text, term.modes.bracketedPasteMode),
  send,
});
page.stage.addEventListener(
  "paste",
  (event) => {
    event.preventDefault();
    event.stopPropagation();
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!isCommand(text)) {
      void typist.begin(text);
      return;
    }
    // Each line of it would run at once: the person looks at it first.
    const field = element<HTMLTextAreaElement>("type-text");
    field.value = clean(text, pasteLimit).text;
    const button = element("type");
    if (button.getAttribute("aria-expanded") !== "true") button.click();
    element("type-said").textContent = "This text has more than one line. Look at it, then send it.";
    field.focus();
    field.setSelectionRange(0, 0); // its beginning is what matters
    field.scrollTop = 0;
  },
  { capture: true },
);

const list = element("key-list");
for (const { label, data } of controls()) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.dataset.control = "";
  button.addEventListener("click", () => send(encoder.encode(data)));
  list.append(button);
}

element("copy").addEventListener("click", () => {
  const text = term.getSelection();
  if (text === "") {
    page.say("Nothing is selected.");
    return;
  }
  navigator.clipboard.writeText(text).then(
    () => page.say("Copied."),
    () => page.say("This browser does not let the page copy."),
  );
});
element("clear").addEventListener("click", () => {
  term.clear();
  term.focus();
});
const reader = element("reader");
reader.addEventListener("click", () => {
  const on = !term.options.screenReaderMode;
  term.options.screenReaderMode = on;
  reader.setAttribute("aria-pressed", String(on));
});

void ended.then((ending) => {
  typist.stop();
  term.options.disableStdin = true;
  page.end(ending);
  requestAnimationFrame(refit);
});
