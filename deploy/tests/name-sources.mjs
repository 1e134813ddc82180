import fs from "node:fs";
import { SourceMap } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

/** A place in a compiled file, as stacks have it: `file:///checkout/dist/test/a.test.js:12:5` or the same as a path. */
const PLACE = /((?:file:\/\/)?\/[^\s()'"]+\.js):(\d+):(\d+)/g;

/**
 * Names the sources in a text with stacks in it. Node's --enable-source-maps does so too, but each process and thread then
 * reads the map of every module that it loads: a tenth of the suite's CPU, for stacks that nobody sees when all is well.
 * @param {string} text
 * @returns {string} places without a source map are left as they are
 */
export function nameSources(text) {
  return text.replace(PLACE, (place, name, line, column) => {
    const file = name.startsWith("file:") ? fileURLToPath(name) : name;
    const entry = mapOf(file)?.findEntry(Number(line) - 1, Number(column) - 1);
    if (entry?.originalSource === undefined) return place;
    const source = path.resolve(path.dirname(file), entry.originalSource);
    return `${source}:${entry.originalLine + 1}:${entry.originalColumn + 1}`;
  });
}

const maps = new Map();

function mapOf(file) {
  if (!maps.has(file)) maps.set(file, readMap(`${file}.map`));
  return maps.get(file);
}

function readMap(file) {
  try {
    return new SourceMap(JSON.parse(fs.readFileSync(file, "utf8")));
  } catch (error) {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return undefined;
    throw error;
  }
}
