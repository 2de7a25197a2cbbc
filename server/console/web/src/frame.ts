// What both pages share: the bar, its panels, the state, and the end.
import { countdown } from "./countdown.ts";
import type { Ending } from "./endings.ts";

/** element finds what the server wrote into the page. */
export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page has no #${id}`);
  return found as T;
}

/** Frame is the page around a console. */
export interface Frame {
  stage: HTMLElement;
  stream: string;
  /** Shows and says the state of the connection. */
  connected(words: string): void;
  /** Shows the end; the console is over. */
  end(ending: Ending): void;
  /** Says something in passing. */
  say(words: string): void;
}

// For how long something said in passing can be read.
const toastMillis = 6000;

/**
 * frame brings the bar to life.
 *
 * @param focus gives the keyboard to the console, release takes it back
 * from there.
 */
export function frame(focus: () => void, release: () => void): Frame {
  const app = element("app");
  const state = element("state");
  const toast = element("toast");
  let fading: ReturnType<typeof setTimeout> | undefined;
  const say = (words: string) => {
    clearTimeout(fading);
    toast.textContent = words;
    fading = setTimeout(() => (toast.textContent = ""), toastMillis);
  };

  const panels = panelSwitches(focus);
  fullScreenSwitch(app, focus);
  releaseKey(release);

  const clock = element("countdown");
  let stopClock = () => {};
  const ends = Date.parse(app.dataset.ends ?? "");
  const now = Date.parse(app.dataset.now ?? "");
  if (!Number.isNaN(ends) && !Number.isNaN(now)) {
    clock.hidden = false;
    stopClock = countdown(now, ends, (text) => (element("left").textContent = text), say);
  }

  // Ctrl+W means something in many guests, and the address cannot be used again.
  const hold = (event: BeforeUnloadEvent) => event.preventDefault();

  return {
    stage: element("stage"),
    stream: app.dataset.stream ?? "",
    say,
    connected(words) {
      app.dataset.state = "connected";
      state.textContent = words;
      for (const b of controls()) b.disabled = false;
      window.addEventListener("beforeunload", hold);
      focus();
    },
    end(ending) {
      app.dataset.state = "ended";
      state.textContent = "Disconnected";
      window.removeEventListener("beforeunload", hold);
      stopClock();
      clock.hidden = true;
      panels.close();
      for (const b of controls()) b.disabled = true;
      element("notice-title").textContent = ending.title;
      element("notice-detail").textContent = ending.detail;
      const again = element<HTMLButtonElement>("again");
      again.hidden = !ending.again;
      again.addEventListener("click", () => location.reload());
      const notice = element("notice");
      notice.hidden = false;
      notice.focus();
    },
  };
}

// controls are what makes sense while a console is there.
function controls(): NodeListOf<HTMLButtonElement> {
  return document.querySelectorAll<HTMLButtonElement>("[data-control]");
}

// panelSwitches lets each button show its panel: one at a time, closed by
// Escape, the keyboard where it is looked for.
function panelSwitches(focus: () => void): { close(): void } {
  const switches = [...document.querySelectorAll<HTMLButtonElement>("button[aria-controls]")];
  const set = (b: HTMLButtonElement, open: boolean) => {
    b.setAttribute("aria-expanded", String(open));
    element(b.getAttribute("aria-controls")!).hidden = !open;
  };
  const isOpen = (b: HTMLButtonElement) => b.getAttribute("aria-expanded") === "true";
  const close = () => switches.forEach((b) => set(b, false));
  for (const b of switches) {
    const panel = element(b.getAttribute("aria-controls")!);
    b.addEventListener("click", () => {
      const open = !isOpen(b);
      close();
      set(b, open);
      if (open) panel.querySelector<HTMLElement>("[data-first], button:not(.close)")?.focus();
      else focus();
    });
    panel.querySelector(".close")?.addEventListener("click", () => {
      close();
      focus();
    });
    panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      close();
      b.focus();
    });
  }
  return { close };
}

function fullScreenSwitch(app: HTMLElement, focus: () => void): void {
  const button = element<HTMLButtonElement>("fullscreen");
  button.hidden = !document.fullscreenEnabled;
  button.addEventListener("click", () => {
    const change = document.fullscreenElement ? document.exitFullscreen() : app.requestFullscreen({ navigationUI: "hide" });
    change.then(focus, () => {}); // refused by the browser: the page stays as it is
  });
  document.addEventListener("fullscreenchange", () => {
    const full = document.fullscreenElement !== null;
    button.setAttribute("aria-pressed", String(full));
    // Where the browser can, keys such as Escape and Alt+Tab reach the VM too.
    const keyboard = (navigator as { keyboard?: { lock?(): Promise<void>; unlock?(): void } }).keyboard;
    if (full) keyboard?.lock?.().catch(() => {});
    else keyboard?.unlock?.();
  });
}

// releaseKey is the way out of the console for those who use no mouse: the
// console takes every other key.
function releaseKey(release: () => void): void {
  window.addEventListener(
    "keydown",
    (event) => {
      const way = event.ctrlKey && event.altKey && event.shiftKey && event.code === "KeyM" && !event.getModifierState("AltGraph");
      if (!way) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      release();
      document.querySelector<HTMLElement>(".tools button:not(:disabled):not([hidden])")?.focus();
    },
    { capture: true },
  );
}
