// The terminal under the page's policy, which allows no style attribute, and no
// style element but those that bear the nonce of this answer.

/** strictStyles lets what the terminal's own code styles pass; what is parsed from text stays forbidden. */
export function strictStyles(): void {
  const nonce = document.querySelector<HTMLLinkElement>("link[rel=stylesheet][nonce]")?.nonce ?? "";
  const create = document.createElement.bind(document);
  const replacement = (name: string, options?: ElementCreationOptions) => {
    const made = create(name, options);
    if (made instanceof HTMLStyleElement) made.nonce = nonce;
    return made;
  };
  document.createElement = replacement as typeof document.createElement;

  // A colour of a cell is written as an attribute; as a property it is allowed.
  const set = HTMLSpanElement.prototype.setAttribute;
  HTMLSpanElement.prototype.setAttribute = function (this: HTMLSpanElement, name: string, value: string) {
    if (name === "style") this.style.cssText = value;
    else set.call(this, name, value);
  };
}
