import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

/** `node pnpm-store-main.js MODULES STORE ARCHIVE`: prints how many files the archive has. */
interface Cafs {
  addFilesFromTarball(tarball: Buffer): { readonly filesIndex: Readonly<Record<string, unknown>> };
}

const [modules = "", store = "", archive = ""] = process.argv.slice(2);
const { createCafs } = createRequire(modules)("@pnpm/store.cafs") as { createCafs(dir: string): Cafs };
const { filesIndex } = createCafs(store).addFilesFromTarball(readFileSync(archive));
process.stdout.write(String(Object.keys(filesIndex).length));
