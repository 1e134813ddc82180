import { createHash } from "node:crypto";
import { createReadStream, existsSync, statSync } from "node:fs";
import path from "node:path";
import type { Readable } from "node:stream";
import { GranaryError } from "../../../proto/errors.ts";
import type { KartaManifest } from "../../../proto/karta-toml.ts";
import type { ArchiveLimits } from "../../../proto/limits.ts";
import type { WalkedDirectory } from "../tree/walk-directory.ts";

/** One pass over an archive. */
export interface OpenArchive {
  readonly stream: Readable;
  readonly sizeBytes?: number;
  readonly contentDigest?: string;
}

interface Source {
  /** For people: `examples/support-bot`. */
  readonly name: string;
  /** Directory or file; undefined on stdin. */
  readonly file: string | undefined;
  /** Bytes of content: of the files of a directory, else of the archive. */
  readonly contentBytes: number | undefined;
}

/** A directory, listed and checked; its files are not read yet. */
export interface DirectorySource extends Source {
  readonly kind: "directory";
  readonly walked: WalkedDirectory;
  /** Lists it once more. */
  readonly walkAgain: () => WalkedDirectory;
  readonly karta: KartaManifest | undefined;
}

/** An archive: it can be opened once per attempt. */
export interface ArchiveSource extends Source {
  readonly kind: "archive";
  /** Whether it can be sent a second time. */
  readonly repeatable: boolean;
  open(): OpenArchive;
}

export type PublishSource = DirectorySource | ArchiveSource;

export interface SourceOptions {
  readonly path: string;
  readonly cwd: string;
  readonly stdin: NodeJS.ReadableStream;
  readonly limits: ArchiveLimits;
  readonly gitignore: boolean;
  readonly strip: number | undefined;
}

/**
 * Looks at what PATH is: a directory (walked and checked now), an archive file, or `-`.
 * @throws GranaryError ARCHIVE_*, MANIFEST_*, USAGE
 */
export async function openSource(options: SourceOptions): Promise<PublishSource> {
  if (options.path === "-") return stdinSource(options.stdin);
  const file = path.resolve(options.cwd, options.path);
  if (!existsSync(file))
    throw new GranaryError("USAGE", `no such file or directory: ${options.path}`, { path: options.path });
  if (!statSync(file).isDirectory()) return fileSource(options, file);
  if (options.strip !== undefined) {
    throw new GranaryError("USAGE", "--strip is for archives; publish the directory below instead", {
      flag: "strip",
    });
  }
  const { limits, gitignore } = options;
  // An archive does not pay for what only directories need: 40 ms of loading.
  const { walkDirectory } = await import("../tree/walk-directory.ts");
  const { readKarta } = await import("../tree/compute-image.ts");
  const walkAgain = (): WalkedDirectory => walkDirectory({ directory: file, limits, gitignore });
  const walked = walkAgain();
  return {
    kind: "directory",
    name: options.path,
    file,
    walked,
    walkAgain,
    karta: await readKarta(walked),
    contentBytes: walked.sizeBytes,
  };
}

async function fileSource(options: SourceOptions, file: string): Promise<ArchiveSource> {
  const { size } = statSync(file);
  if (size > options.limits.uploadBytes) {
    const detail = { actual: size, limit: options.limits.uploadBytes };
    throw new GranaryError(
      "ARCHIVE_UPLOAD_TOO_LARGE",
      `${options.path} has ${size} bytes, limit ${options.limits.uploadBytes}`,
      detail,
    );
  }
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 256 * 1024 })) hash.update(chunk);
  const contentDigest = `sha-256=:${hash.digest("base64")}:`;
  return {
    kind: "archive",
    name: options.path,
    file,
    repeatable: true,
    contentBytes: size,
    open: () => ({
      stream: createReadStream(file, { highWaterMark: 256 * 1024 }),
      sizeBytes: size,
      contentDigest,
    }),
  };
}

function stdinSource(stdin: NodeJS.ReadableStream): ArchiveSource {
  let opened = false;
  return {
    kind: "archive",
    name: "stdin",
    file: undefined,
    repeatable: false,
    contentBytes: undefined,
    open: () => {
      if (opened)
        throw new GranaryError(
          "UNAVAILABLE",
          "an archive from stdin can be sent only once; publish a file to have retries",
        );
      opened = true;
      return { stream: stdin as Readable };
    },
  };
}
