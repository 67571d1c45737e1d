// Bundles stream.js for anywidget, page.js for exported pages and outputs.js for outputs, and
// writes down the licences of what went in. The first line of a bundle is a digest of these sources, which a test compares.
import { createHash } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const sources = readdirSync(".").filter((name) => /\.m?js$|^package\.json$/.test(name)).sort();
const digest = createHash("sha256");
for (const name of sources) digest.update(readFileSync(name));

const banner = `/* sources ${digest.digest("hex")}; licences in LICENSES.md */`;
const bundled = async (name, format) => {
  const { metafile } = await build({
    entryPoints: [name],
    outfile: `../static/${name}`,
    bundle: true,
    minify: true,
    format,
    target: "es2022",
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    banner: { js: banner },
  });
  return Object.values(metafile.outputs);
};

const outputs = [
  ...(await bundled("stream.js", "esm")),
  ...(await bundled("page.js", "iife")),
  ...(await bundled("outputs.js", "iife")),
];
const packages = new Set(
  outputs
    .flatMap((output) => Object.entries(output.inputs))
    .filter(([path, { bytesInOutput }]) => path.startsWith("node_modules/") && bytesInOutput > 0)
    .map(([path]) => path.split("/")[1]),
);
const licences = [...packages].sort().map((name) => {
  const { version, license } = JSON.parse(readFileSync(`node_modules/${name}/package.json`));
  const file = readdirSync(`node_modules/${name}`).find((f) => /^licen[cs]e/i.test(f));
  const text = readFileSync(`node_modules/${name}/${file}`, "utf8").trim();
  return `## ${name} ${version} (${license})\n\n\`\`\`text\n${text}\n\`\`\`\n`;
});
writeFileSync(
  "../static/LICENSES.md",
  `# Third-party code in stream.js and page.js\n\nBundled by ../js/build.mjs, unchanged.\n\n${licences.join("\n")}`,
);
