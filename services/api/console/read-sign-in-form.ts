import { GranaryError } from "../../../proto/errors.ts";
import { LIMITS } from "../../../proto/limits.ts";
import type { HttpRequest } from "../../shared/http-server.ts";

/** A token is some 60 characters. */
const FORM_BYTES = 2_000;

/** The token of a sign-in form. It is read before anybody has authenticated: little, and not for long. @throws GranaryError USAGE, BODY_TOO_LARGE */
export async function readSignInForm(request: HttpRequest): Promise<string> {
  if (request.headers["content-type"]?.startsWith("application/x-www-form-urlencoded") !== true)
    throw new GranaryError("USAGE", "the form is sent as application/x-www-form-urlencoded");
  const timer = setTimeout(() => request.raw.destroy(), LIMITS.bodyIdleMs).unref();
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request.raw as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > FORM_BYTES)
        throw new GranaryError("BODY_TOO_LARGE", `the form is larger than ${FORM_BYTES} bytes`, {
          limit: FORM_BYTES,
        });
      chunks.push(chunk);
    }
  } finally {
    clearTimeout(timer);
  }
  const token = new URLSearchParams(Buffer.concat(chunks).toString("utf8")).get("token")?.trim();
  if (token === undefined || token === "" || /\s/.test(token))
    throw new GranaryError("USAGE", "the form has no token", { pointer: "/token" });
  return token;
}
