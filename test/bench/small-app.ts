import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { appArchive } from "../helpers/app-archive.ts";
import { type Corpus, filesOf } from "./corpus.ts";

/** The archive of an app of three files that is like no other number's: for what is not about archives. */
export function smallApp(number: number): Buffer {
  return appArchive({ "app.py": `app = ${number}\n`, "karta.toml": "", "README.md": `# ${number}\n` });
}

const FILES = 50;
/** What a source file of a small service has. */
const FILE_BYTES = { least: 500, most: 4_000 };

/** Archives of a small service: real source files, and one that is like no other number's. Some 51 files, 33 KB as tar.gz. */
export function smallServices({ tree }: Corpus): (number: number) => Buffer {
  const files = filesOf(tree)
    .filter((file) => {
      const { size } = statSync(join(tree, file));
      return size >= FILE_BYTES.least && size <= FILE_BYTES.most;
    })
    .slice(0, FILES)
    .map((file, i) => [`src/${i}.js`, readFileSync(join(tree, file), "utf8")] as const);
  return (number) => appArchive({ ...Object.fromEntries(files), "main.js": `export const n = ${number};\n` });
}
