// Keysyms, and the keys of a US keyboard that make them. The values are those
// of X11 (keysymdef.h), which RFB uses.

/** Key is a keysym with the physical key that makes it, where there is one. */
export interface Key {
  keysym: number;
  /** KeyboardEvent.code of the key on a US keyboard; null where none makes it. */
  code: string | null;
}

/** Stroke is one character typed. */
export interface Stroke extends Key {
  shift: boolean;
}

const backspace: Key = { keysym: 0xff08, code: "Backspace" };
const tab: Key = { keysym: 0xff09, code: "Tab" };
const enter: Key = { keysym: 0xff0d, code: "Enter" };
const escape: Key = { keysym: 0xff1b, code: "Escape" };
const print: Key = { keysym: 0xff61, code: "PrintScreen" };
const del: Key = { keysym: 0xffff, code: "Delete" };
const control: Key = { keysym: 0xffe3, code: "ControlLeft" };
const alt: Key = { keysym: 0xffe9, code: "AltLeft" };
const meta: Key = { keysym: 0xffeb, code: "MetaLeft" };

/** shift is held for the upper characters of a key. */
export const shift: Key = { keysym: 0xffe1, code: "ShiftLeft" };

function functionKey(n: number): Key {
  return { keysym: 0xffbd + n, code: `F${n}` };
}

function letter(c: string): Key {
  return { keysym: c.charCodeAt(0), code: `Key${c.toUpperCase()}` };
}

/** Combination is what a button sends: its keys go down in order, and up in the other. */
export interface Combination {
  label: string;
  keys: Key[];
}

/** combinations are those that a browser or the desktop around it keeps to itself. */
export function combinations(): Combination[] {
  const list: Combination[] = [
    { label: "Ctrl+Alt+Del", keys: [control, alt, del] },
    { label: "Ctrl+Alt+Bksp", keys: [control, alt, backspace] },
    { label: "Esc", keys: [escape] },
    { label: "Tab", keys: [tab] },
    { label: "Enter", keys: [enter] },
    { label: "Alt+Tab", keys: [alt, tab] },
    { label: "Alt+F4", keys: [alt, functionKey(4)] },
    { label: "Super", keys: [meta] },
    { label: "Super+L", keys: [meta, letter("l")] },
    { label: "Ctrl+W", keys: [control, letter("w")] },
    { label: "Print Screen", keys: [print] },
  ];
  for (let n = 1; n <= 12; n++) list.push({ label: `F${n}`, keys: [functionKey(n)] });
  for (let n = 1; n <= 7; n++) list.push({ label: `Ctrl+Alt+F${n}`, keys: [control, alt, functionKey(n)] });
  return list;
}

// The US layout, each key with its two characters.
const us: ReadonlyArray<readonly [code: string, characters: string]> = [
  ["Backquote", "`~"], ["Minus", "-_"], ["Equal", "=+"], ["BracketLeft", "[{"], ["BracketRight", "]}"],
  ["Backslash", "\\|"], ["Semicolon", ";:"], ["Quote", "'\""], ["Comma", ",<"], ["Period", ".>"], ["Slash", "/?"],
  ...Array.from(")!@#$%^&*(", (upper, digit) => [`Digit${digit}`, `${digit}${upper}`] as const),
  ...Array.from("abcdefghijklmnopqrstuvwxyz", (c) => [`Key${c.toUpperCase()}`, c + c.toUpperCase()] as const),
];

const strokes = new Map<string, Stroke>([
  ["\n", { ...enter, shift: false }],
  ["\t", { ...tab, shift: false }],
  [" ", { keysym: 0x20, code: "Space", shift: false }],
]);
for (const [code, [lower, upper]] of us.map(([code, both]) => [code, Array.from(both)] as const)) {
  strokes.set(lower!, { keysym: lower!.charCodeAt(0), code, shift: false });
  strokes.set(upper!, { keysym: upper!.charCodeAt(0), code, shift: true });
}

/** keysymOf is the keysym of any character: Latin-1 stands for itself, the rest is Unicode with a mark. */
export function keysymOf(character: string): number {
  const point = character.codePointAt(0)!;
  const latin = (point >= 0x20 && point <= 0x7e) || (point >= 0xa0 && point <= 0xff);
  return latin ? point : 0x01000000 | point;
}

/**
 * strokesOf types a text: on the keys of a US keyboard where it has the
 * character, else by the character's keysym, which not every guest understands.
 */
export function strokesOf(text: string): Stroke[] {
  return Array.from(text, (c) => strokes.get(c) ?? { keysym: keysymOf(c), code: null, shift: false });
}
