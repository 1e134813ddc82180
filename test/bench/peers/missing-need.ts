import { existsSync } from "node:fs";
import { join } from "node:path";
import { missing } from "../../helpers/run-program.ts";
import type { Contestant } from "../contestant.ts";
import { peersFolder } from "./peer-modules.ts";

/** Why a contestant cannot take part; undefined: it can. */
export function missingNeed(
  { programs = [], npm = [] }: Contestant["needs"],
  cacheFolder: string,
): string | undefined {
  const absent = [
    ...programs.filter((program) => missing(program) !== false),
    ...npm.filter((name) => !existsSync(join(peersFolder(cacheFolder), "node_modules", name))),
  ];
  return absent.length === 0 ? undefined : `not installed: ${absent.join(", ")}`;
}
