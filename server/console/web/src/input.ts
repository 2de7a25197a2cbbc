// What goes to a serial line.

/** pasteLimit is the longest text that is sent as input, in characters. */
export const pasteLimit = 64 * 1024;

/** Paced as a line of 9600 baud is, which no guest finds too fast. */
export const chunkBytes = 32;
export const chunksPerSecond = 30;

/**
 * chunks makes input of a cleaned text: Enter is a carriage return, as the key
 * sends it.
 *
 * @param bracketed is whether the guest asked for marks around what is pasted.
 */
export function chunks(text: string, bracketed: boolean): Uint8Array<ArrayBuffer>[] {
  if (text === "") return [];
  const keys = text.replace(/\n/g, "\r");
  const bytes = new TextEncoder().encode(bracketed ? `\u001b[200~${keys}\u001b[201~` : keys);
  const list: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length; at += chunkBytes) list.push(bytes.slice(at, at + chunkBytes));
  return list;
}

/** isCommand says whether pasting a text runs something at once in a plain shell. */
export function isCommand(text: string): boolean {
  return /[\r\n]/.test(text);
}

/** controls are the keys that a browser keeps to itself or a touch screen lacks. */
export function controls(): { label: string; data: string }[] {
  const ctrl = (c: string) => ({ label: `Ctrl+${c}`, data: String.fromCharCode(c.charCodeAt(0) & 0x1f) });
  return [
    ctrl("C"), ctrl("D"), ctrl("Z"), ctrl("\\"), ctrl("]"), ctrl("W"), ctrl("T"), ctrl("N"), ctrl("L"),
    { label: "Esc", data: "\u001b" }, { label: "Tab", data: "\t" }, { label: "Enter", data: "\r" },
    { label: "↑", data: "\u001b[A" }, { label: "↓", data: "\u001b[B" },
    ...["OP", "OQ", "OR", "OS", "[15~", "[17~", "[18~", "[19~", "[20~", "[21~", "[23~", "[24~"].map((end, i) => ({ label: `F${i + 1}`, data: `\u001b${end}` })),
  ];
}
