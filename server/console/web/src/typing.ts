// The panel that sends a text at a limited rate: as keystrokes to a screen, as
// input to a serial line.
import { element } from "./frame.ts";
import { paced } from "./pacer.ts";
import { clean, remark } from "./text.ts";

/** Typing says how a text is sent. */
export interface Typing<T> {
  /** Longest text, in characters. */
  limit: number;
  perSecond: number;
  /** Divides a text into what is sent at once. */
  items(text: string): T[];
  send(item: T): void;
}

/** typing brings the panel to life; begin sends a text as its button does. */
export function typing<T>(how: Typing<T>): { begin(text: string): Promise<void>; stop(): void } {
  const field = element<HTMLTextAreaElement>("type-text");
  const start = element<HTMLButtonElement>("type-start");
  const cancel = element<HTMLButtonElement>("type-stop");
  const said = element("type-said");
  const bar = element<HTMLProgressElement>("type-progress");
  let running: AbortController | undefined;

  const begin = async (raw: string) => {
    if (running) return;
    const cleaned = clean(raw, how.limit);
    const items = how.items(cleaned.text);
    if (items.length === 0) {
      said.textContent = "There is no text to send.";
      return;
    }
    const mine = (running = new AbortController());
    start.disabled = true;
    cancel.hidden = false;
    bar.hidden = false;
    said.textContent = "Sending…";
    const done = await paced(items, how.perSecond, how.send, mine.signal, (n, total) => {
      bar.max = total;
      bar.value = n;
    });
    running = undefined;
    start.disabled = false;
    cancel.hidden = true;
    bar.hidden = true;
    const outcome = done < items.length ? "Stopped before the end." : "Sent.";
    said.textContent = [outcome, remark(cleaned)].filter(Boolean).join(" ");
  };
  const stop = () => running?.abort();
  start.addEventListener("click", () => void begin(field.value));
  cancel.addEventListener("click", stop);
  return { begin, stop };
}
