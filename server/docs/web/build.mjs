// Puts the page together in ../dist: what is needed of the package, and our own
// three files. The page is whole only with index.html, which comes last.
import { copyFileSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const from = join(here, "node_modules", "swagger-ui-dist");
const page = join(here, "page");
const dist = join(here, "..", "dist");

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) {
  if (name !== ".keep") rmSync(join(dist, name), { recursive: true });
}
const wanted = ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "favicon-32x32.png", "LICENSE", "NOTICE"];
for (const name of wanted) copyFileSync(join(from, name), join(dist, name));
for (const name of ["page.css", "page.js", "index.html"]) copyFileSync(join(page, name), join(dist, name));
