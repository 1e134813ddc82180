import type { AddressInfo } from "node:net";
import { GranaryError } from "../../proto/errors.ts";
import type { FarmSettings } from "../../proto/settings.ts";
import type { HttpServer } from "../shared/http-server.ts";

/** What is wrong with the address, not with the farm. */
const REFUSALS: ReadonlyMap<unknown, string> = new Map([
  ["EADDRINUSE", "another program has it"],
  ["EACCES", "this user may not take it"],
  ["EADDRNOTAVAIL", "this machine does not have it"],
  ["ENOTFOUND", "no such host is known"],
]);

/** @returns `HOST:PORT` of the socket @throws GranaryError ADDRESS_REFUSED */
export async function listen(http: HttpServer, settings: FarmSettings): Promise<string> {
  try {
    await http.listen({ host: settings.listen, port: settings.port });
  } catch (cause) {
    const { code = "" } = cause as NodeJS.ErrnoException;
    const why = REFUSALS.get(code);
    if (why === undefined) throw cause;
    const where = `${settings.listen}:${settings.port}`;
    const message = `cannot listen on ${where}: ${why} (${code})`;
    throw new GranaryError("ADDRESS_REFUSED", message, { where, reason: code }, { cause });
  }
  const { address, family, port } = http.server.address() as AddressInfo;
  return `${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
