import { GranaryError } from "../../proto/errors.ts";
import { noise, zeroBomb } from "./hostile-sizes.ts";
import { listArchive } from "./list-archive.ts";
import { file, tgz } from "./tar-builder.ts";

/**
 * Reads a bomb of argv[2] MiB of zeros, ratio limit argv[3], in a process of its own and prints what came of it as JSON:
 * the code, the milliseconds of processor time, and by how many bytes the peak of resident memory grew over that of an honest read.
 */
const bomb = zeroBomb(Number(process.argv[2]), file("noise", noise(200_000)));
listArchive(tgz(file("a", noise(1_000_000))));
const baseBytes = process.resourceUsage().maxRSS * 1024;
const before = process.cpuUsage();
let code = "none";
try {
  listArchive(bomb, { limits: { ratio: Number(process.argv[3]) } });
} catch (error) {
  code = error instanceof GranaryError ? error.code : String(error);
}
const used = process.cpuUsage(before);
const elapsedMs = (used.user + used.system) / 1000;
const grownBytes = process.resourceUsage().maxRSS * 1024 - baseBytes;
process.stdout.write(`${JSON.stringify({ code, elapsedMs, grownBytes })}\n`);
