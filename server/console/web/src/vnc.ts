// The page that shows a VM's screen.
import RFB from "@novnc/novnc";
import { unreadable } from "./endings.ts";
import { element, frame } from "./frame.ts";
import { combinations, shift, strokesOf, type Stroke } from "./keys.ts";
import { open } from "./stream.ts";
import { clean, remark } from "./text.ts";
import { typing } from "./typing.ts";

/** Characters a second that are typed into the guest, and the longest text. */
const typedPerSecond = 40;
const typedLimit = 4096;

/** Longest text that is exchanged by clipboard, in characters. */
const clipboardLimit = 64 * 1024;

const page = frame(
  () => rfb.focus({ preventScroll: true }),
  // noVNC lets go of all keys when the window loses the keyboard; the VM must
  // not keep those of the way out held down.
  () => window.dispatchEvent(new Event("blur")),
);
const stream = open(page.stream);
const rfb = new RFB(page.stage, stream.socket, { shared: true });
rfb.background = "transparent";
rfb.scaleViewport = true;
rfb.showDotCursor = true;

const canvas = page.stage.querySelector("canvas");
if (canvas) {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute("aria-label", "Screen of the VM. Control, Alt, Shift and M together lead back to the tools.");
}

// Whether the stream was understood is known from who ends it: this page, or
// the other side.
let failed = false;
rfb.addEventListener("connect", () => page.connected("Connected"));
rfb.addEventListener("credentialsrequired", () => rfb.disconnect()); // the server has authenticated already; there is nobody to ask
rfb.addEventListener("disconnect", () => (failed = stream.socket.readyState !== WebSocket.CLOSED));

element("cad").addEventListener("click", () => {
  rfb.sendCtrlAltDel();
  rfb.focus();
});

const keys = element("key-list");
for (const { label, keys: held } of combinations()) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = label;
  button.dataset.control = "";
  button.addEventListener("click", () => {
    for (const k of held) rfb.sendKey(k.keysym, k.code, true);
    for (const k of held.slice().reverse()) rfb.sendKey(k.keysym, k.code, false);
  });
  keys.append(button);
}

function type(stroke: Stroke): void {
  if (stroke.shift) rfb.sendKey(shift.keysym, shift.code, true);
  rfb.sendKey(stroke.keysym, stroke.code, true);
  rfb.sendKey(stroke.keysym, stroke.code, false);
  if (stroke.shift) rfb.sendKey(shift.keysym, shift.code, false);
}
const typist = typing({ limit: typedLimit, perSecond: typedPerSecond, items: strokesOf, send: type });

const fromVM = element<HTMLTextAreaElement>("from-vm");
const toVM = element<HTMLTextAreaElement>("to-vm");
const said = element("clipboard-said");
rfb.addEventListener("clipboard", (event) => {
  const cleaned = clean((event as CustomEvent<{ text: string }>).detail.text, clipboardLimit);
  fromVM.value = cleaned.text;
  element<HTMLButtonElement>("copy").disabled = cleaned.text === "";
  said.textContent = ["The VM's clipboard has changed.", remark(cleaned)].filter(Boolean).join(" ");
});
element("copy").addEventListener("click", () => {
  navigator.clipboard.writeText(fromVM.value).then(
    () => (said.textContent = "Copied."),
    () => {
      fromVM.select(); // the browser does not allow it; the person's own keys do it
      said.textContent = "This browser does not let the page copy. The text is selected: copy it.";
    },
  );
});
element("send").addEventListener("click", () => {
  const cleaned = clean(toVM.value, clipboardLimit);
  rfb.clipboardPasteFrom(cleaned.text);
  said.textContent = ["Sent to the VM's clipboard.", remark(cleaned)].filter(Boolean).join(" ");
});

void stream.ended.then((ending) => {
  typist.stop();
  page.end(failed ? unreadable() : ending);
});
