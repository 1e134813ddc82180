import { ARCHIVE_CODES } from "./error-codes/archive.ts";
import { FARM_CODES } from "./error-codes/farm.ts";
import { MANIFEST_CODES } from "./error-codes/manifest.ts";
import { POINTER_CODES } from "./error-codes/pointer.ts";
import { REQUEST_CODES } from "./error-codes/request.ts";
import { STORE_CODES } from "./error-codes/store.ts";
import { UPLOAD_CODES } from "./error-codes/upload.ts";
import type { CodeSpec } from "./error-spec.ts";

export { EXIT } from "./error-spec.ts";

/**
 * The one catalogue of failures. A code is public surface: it appears in problem+json (RFC 9457), in the CLI's
 * `--json` errors, in failed publishes and in docs/errors.md, and it decides HTTP status, exit code and retryability.
 * Where OCI distribution has a code, its name is used (https://github.com/opencontainers/distribution-spec).
 * The order is that of docs/errors.md.
 */
export const ERROR_CODES = {
  ...ARCHIVE_CODES,
  ...UPLOAD_CODES,
  ...MANIFEST_CODES,
  ...STORE_CODES,
  ...REQUEST_CODES,
  ...POINTER_CODES,
  ...FARM_CODES,
} as const satisfies Record<string, CodeSpec>;

export type ErrorCode = keyof typeof ERROR_CODES;

export type ErrorDetail = Readonly<Record<string, string | number | boolean | readonly string[]>>;

/** A {@link GranaryError} as it crosses a thread, a queue or HTTP: errors lose class and code there, data does not. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly detail: ErrorDetail;
}

/** Every expected failure. `message` names the thing that failed; `detail` carries member names, actual values and limits. */
export class GranaryError extends Error {
  override readonly name = "GranaryError";
  readonly code: ErrorCode;
  readonly detail: ErrorDetail;

  constructor(code: ErrorCode, message: string, detail: ErrorDetail = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.detail = detail;
  }

  get spec(): CodeSpec {
    return ERROR_CODES[this.code];
  }

  /** What to do next: that of the code, unless the failure knows better (`detail.hint`). */
  get hint(): string {
    const hint = this.detail["hint"];
    return typeof hint === "string" ? hint : this.spec.hint;
  }

  toWire(): WireError {
    return { code: this.code, message: this.message, detail: this.detail };
  }

  static fromWire(wire: WireError): GranaryError {
    return new GranaryError(wire.code, wire.message, wire.detail);
  }
}

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERROR_CODES, value);
}

/** A failure or a value, as data: what crosses threads and queues. */
export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: WireError };
