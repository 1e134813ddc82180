import { chmodSync, linkSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { noise } from "./hostile-sizes.ts";

/** A name that fills the name field of a header. */
const NAME_100 = "n".repeat(100);
/** A folder that fills the prefix field; both together are the longest path that ustar holds. */
const PREFIX_155 = `${"p".repeat(70)}/${"q".repeat(84)}`;
/** Longer than any header field. */
const NAME_200 = "l".repeat(200);

/**
 * Makes a directory with everything that an archive may hold: empty and large files, long and non-ASCII names, executables,
 * hardlinks, symlinks (to files, directories, through directories), empty directories, old and fractional times.
 *
 * @param longNames also names that only pax and GNU headers can hold
 */
export function makeSampleTree(folder: string, options: { longNames: boolean }): void {
  const write = (path: string, content: string | Buffer) => writeFileSync(join(folder, path), content);
  for (const path of ["bin", "empty/inner", "sub/deep", PREFIX_155])
    mkdirSync(join(folder, path), { recursive: true });
  write("empty.txt", "");
  write("bin/run", "#!/bin/sh\n");
  chmodSync(join(folder, "bin/run"), 0o755);
  write("hello.txt", "hello");
  linkSync(join(folder, "hello.txt"), join(folder, "sub/hardlink"));
  symlinkSync("../hello.txt", join(folder, "sub/file-link"));
  symlinkSync("sub/deep", join(folder, "directory-link"));
  write("sub/deep/block", noise(512));
  symlinkSync("../directory-link/block", join(folder, "sub/through-link"));
  write("large.bin", noise(300_001));
  write("zeros.bin", Buffer.alloc(100_000));
  write("grüße-日本-😀.txt", "ü");
  write(".hidden", ".");
  write("with space", " ");
  write(NAME_100, "100");
  write(`${PREFIX_155}/${"m".repeat(99)}`, "254");
  utimesSync(join(folder, ".hidden"), 1_700_000_000.25, 1_700_000_000.25);
  if (!options.longNames) return;
  write(NAME_200, "200");
  symlinkSync(`${PREFIX_155}/${"m".repeat(99)}`, join(folder, "long-link"));
  mkdirSync(join(folder, `${PREFIX_155}/${NAME_200}`));
  write(`${PREFIX_155}/${NAME_200}/${NAME_100}`, "deep");
  write("\u00e4".repeat(120), "240 bytes");
  utimesSync(join(folder, "hello.txt"), -100_000_000, -100_000_000);
}
