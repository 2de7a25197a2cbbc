// The terminal's colours.
import type { ITheme } from "@xterm/xterm";

const dark: ITheme = {
  background: "#0d1117", foreground: "#d7dee7", cursor: "#7cc4ff", cursorAccent: "#0d1117", selectionBackground: "#2f5b8a",
  black: "#2b323b", red: "#ff7b72", green: "#56d364", yellow: "#e3b341", blue: "#79c0ff", magenta: "#d2a8ff", cyan: "#56d4dd", white: "#c9d1d9",
  brightBlack: "#7d8894", brightRed: "#ffa198", brightGreen: "#7ee787", brightYellow: "#f2cc60", brightBlue: "#a5d6ff", brightMagenta: "#e2c5ff",
  brightCyan: "#8be9f0", brightWhite: "#ffffff",
};

const light: ITheme = {
  background: "#ffffff", foreground: "#1f2328", cursor: "#0757ba", cursorAccent: "#ffffff", selectionBackground: "#b6d6fb",
  black: "#24292f", red: "#b3212c", green: "#0f6a2c", yellow: "#7a4d00", blue: "#0757ba", magenta: "#7440c0", cyan: "#14656c", white: "#5c6670",
  brightBlack: "#4b535c", brightRed: "#9a1420", brightGreen: "#1a7f37", brightYellow: "#633c01", brightBlue: "#1f6fd6", brightMagenta: "#8250df",
  brightCyan: "#2a7f88", brightWhite: "#6e7781",
};

/** followTheme gives the terminal the colours that the person prefers, now and when that changes. */
export function followTheme(apply: (theme: ITheme) => void): void {
  const query = matchMedia("(prefers-color-scheme: light)");
  const choose = () => apply(query.matches ? light : dark);
  query.addEventListener("change", choose);
  choose();
}
