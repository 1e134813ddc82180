import { readFileSync } from "node:fs";

/** Version of the package that this build belongs to. */
export function cliVersion(): string {
  // dist/services/cli -> the package's root.
  for (const up of ["../../../package.json", "../../package.json"]) {
    try {
      const read: { name?: unknown; version?: unknown } = JSON.parse(
        readFileSync(new URL(up, import.meta.url), "utf8"),
      );
      if (read.name === "granary" && typeof read.version === "string") return read.version;
    } catch {
      // Not there: look further up.
    }
  }
  return "unknown";
}
