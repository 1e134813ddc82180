import { HOSTILE_ARCHIVES } from "../helpers/hostile-archives.ts";
import { refusesAll } from "../helpers/refuse-archives.ts";

/** Those that cost seconds of a core each, through a farm. */
const slow = HOSTILE_ARCHIVES.filter(({ isSlow }) => isSlow === true);
refusesAll("slow archives", slow, "");
