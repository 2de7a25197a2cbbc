// Bundles the pages into ../page/dist under names that bear a hash of their
// content. The pages are whole only with manifest.json, which comes last: it
// says which file stands for which name.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, "..", "page", "dist");

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) {
  if (name !== ".keep") rmSync(join(dist, name), { recursive: true });
}

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/vnc.ts", "src/serial.ts", "src/console.css", "src/terminal.css", "src/icon.svg"],
  outdir: dist,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  loader: { ".svg": "copy" },
  legalComments: "none", // the licences are in a file of their own
  metafile: true,
});

const manifest = {};
for (const [path, output] of Object.entries(metafile.outputs)) {
  const from = output.entryPoint ?? Object.keys(output.inputs)[0];
  manifest[basename(from).replace(/\.ts$/, ".js")] = basename(path);
}

const licences = licenceTexts(metafile);
const hash = createHash("sha256").update(licences).digest("hex").slice(0, 8).toUpperCase();
manifest["LICENSES.txt"] = `LICENSES-${hash}.txt`;
writeFileSync(join(dist, manifest["LICENSES.txt"]), licences);

writeFileSync(join(dist, "manifest.tmp"), JSON.stringify(manifest, null, 2) + "\n");
renameSync(join(dist, "manifest.tmp"), join(dist, "manifest.json"));

// licenceTexts holds what the licences of the bundled packages ask for: their
// texts, and where the source of each can be had.
function licenceTexts(metafile) {
  const packages = new Set();
  for (const output of Object.values(metafile.outputs)) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const found = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (found && bytesInOutput > 0) packages.add(found[1]);
    }
  }
  const parts = ["The console pages contain these packages, in a bundled and shortened form.\n"];
  for (const name of [...packages].sort()) {
    const root = join(here, "node_modules", name);
    const about = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const source = (about.repository?.url ?? about.repository ?? "").replace(/^git\+/, "");
    const texts = readdirSync(root, { recursive: true }).filter((f) => /(^|\/)(LICEN[SC]E|AUTHORS)[^/]*$/.test(f)).sort();
    if (!source || !texts.some((f) => /LICEN[SC]E/.test(f))) throw new Error(`${name} has no licence text, or no source address`);
    parts.push(`${"=".repeat(78)}\n${name} ${about.version}\nLicence: ${about.license}\nSource: ${source}\n`);
    for (const f of texts) parts.push(`--- ${name}/${f}\n\n${readFileSync(join(root, f), "utf8").trim()}\n`);
  }
  return parts.join("\n");
}
