import type { HostileArchive } from "./hostile-archive.ts";
import { HOSTILE_HEADERS } from "./hostile-headers.ts";
import { HOSTILE_LINKS } from "./hostile-links.ts";
import { HOSTILE_META } from "./hostile-meta.ts";
import { HOSTILE_PATHS } from "./hostile-paths.ts";
import { HOSTILE_SIZES } from "./hostile-sizes.ts";
import { HOSTILE_STREAMS } from "./hostile-streams.ts";

/** Every archive that must be refused, one per oddity, with the code of the rule that it breaks. */
export const HOSTILE_ARCHIVES: readonly HostileArchive[] = [
  ...HOSTILE_PATHS,
  ...HOSTILE_LINKS,
  ...HOSTILE_HEADERS,
  ...HOSTILE_META,
  ...HOSTILE_STREAMS,
  ...HOSTILE_SIZES,
];
