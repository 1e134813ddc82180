import type { AddressInfo } from "node:net";
import { GranaryError } from "../../proto/errors.ts";
import type { FarmSettings } from "../../proto/settings.ts";
import type { HttpServer } from "../shared/http-server.ts";

/** What is wrong with the address, not with the farm: others have it, it is not ours to take, or not of this machine. */
const REFUSALS: ReadonlySet<unknown> = new Set(["EADDRINUSE", "EACCES", "EADDRNOTAVAIL", "ENOTFOUND"]);

/** @returns `HOST:PORT` of the socket @throws GranaryError ADDRESS_REFUSED */
export async function listen(http: HttpServer, settings: FarmSettings): Promise<string> {
  try {
    await http.listen({ host: settings.listen, port: settings.port });
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    if (!REFUSALS.has(code)) throw cause;
    const where = `${settings.listen}:${settings.port}`;
    const message = `cannot listen on ${where}: ${code}`;
    throw new GranaryError("ADDRESS_REFUSED", message, { where, reason: code }, { cause });
  }
  const { address, family, port } = http.server.address() as AddressInfo;
  return `${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
