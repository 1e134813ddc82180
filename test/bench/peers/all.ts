import type { Contestant } from "../contestant.ts";
import { BORG } from "./borg.ts";
import { GIT } from "./git.ts";
import { GRANARY_PROCESS, GRANARY_SERVICE } from "./granary.ts";
import { CACACHE, PNPM_STORE } from "./npm-stores.ts";
import { OSTREE } from "./ostree.ts";
import { RESTIC } from "./restic.ts";
import { SKOPEO } from "./skopeo.ts";
import { TAR, TAR_AND_HASHES } from "./tar.ts";

/** Who takes part; `tar xzf` is the first, because all are compared with it. */
export const CONTESTANTS: readonly Contestant[] = [
  TAR,
  TAR_AND_HASHES,
  GRANARY_SERVICE,
  GRANARY_PROCESS,
  OSTREE,
  GIT,
  RESTIC,
  BORG,
  PNPM_STORE,
  CACACHE,
  SKOPEO,
];
