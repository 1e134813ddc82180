import { readFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { GranaryError } from "../../proto/errors.ts";
import type { FarmSettings } from "../../proto/settings.ts";
import type { TlsFiles } from "../shared/http-server.ts";

/** The certificate and the key that the farm listens with; undefined: it speaks plain HTTP. @throws GranaryError CONFIG_INVALID */
export function readTls({ tls }: Pick<FarmSettings, "tls">): TlsFiles | undefined {
  if (tls === undefined) return undefined;
  const files = { cert: read("tls_cert", tls.cert), key: read("tls_key", tls.key) };
  try {
    createSecureContext(files);
  } catch (cause) {
    throw invalid(`tls_cert and tls_key: ${(cause as Error).message}`, cause);
  }
  return files;
}

function read(setting: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw invalid(`${setting}: ${(cause as Error).message}`, cause);
  }
}

function invalid(message: string, cause: unknown): GranaryError {
  return new GranaryError("CONFIG_INVALID", message, {}, { cause });
}
