import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { GranaryError } from "../../proto/errors.ts";
import { LIMITS } from "../../proto/limits.ts";

/**
 * Where webhooks may go. An org's URL is fetched by the farm's machine, which sees networks that the org does not: only public
 * addresses are called, checked when the URL is written and again on the address that a delivery connects to.
 */
export interface TargetAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** Every address of a host. @throws when it has none */
export type Resolve = (host: string) => Promise<readonly TargetAddress[]>;

export const resolveHost: Resolve = async (host) => {
  const found = await lookup(host, { all: true, verbatim: true });
  return found.map(({ address, family }) => ({ address, family: family === 6 ? 6 : 4 }));
};

/**
 * Parses a webhook's URL by its form alone: HTTPS, port 443 or from 1024 on (a webhook must not speak to mail and such
 * services), no credentials, no fragment. `allowPrivate` also allows HTTP.
 * @throws GranaryError WEBHOOK_URL_REFUSED
 */
export function parseWebhookUrl(text: string, options: { allowPrivate: boolean }): URL {
  if (Buffer.byteLength(text) > LIMITS.webhookUrlBytes)
    throw refused(`is longer than ${LIMITS.webhookUrlBytes} bytes`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw refused("is not a URL");
  if (url.protocol !== "https:" && !(options.allowPrivate && url.protocol === "http:"))
    throw refused("is not https");
  if (url.username !== "" || url.password !== "") throw refused("contains credentials");
  if (url.hash !== "") throw refused("has a fragment");
  const port = url.port === "" ? 443 : Number(url.port);
  if (!options.allowPrivate && port !== 443 && port < 1024)
    throw refused(`has port ${port}; 443 and those from 1024 on are allowed`);
  return url;
}

/**
 * The addresses of a URL's host, all of them public: one that is not refuses the host, because who controls a name decides in
 * which order its addresses are tried.
 * @throws GranaryError WEBHOOK_URL_REFUSED when it does not resolve, or to an address that is not public
 */
export async function publicAddresses(
  url: URL,
  options: { allowPrivate: boolean; resolve: Resolve },
): Promise<readonly TargetAddress[]> {
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const family = isIP(host);
  const addresses = family === 0 ? await resolved(host, options.resolve) : [asAddress(host, family)];
  const hidden = options.allowPrivate ? undefined : addresses.find(({ address }) => !isPublic(address));
  if (hidden !== undefined) throw refused("leads to an address that is not public");
  return addresses;
}

function asAddress(address: string, family: number): TargetAddress {
  return { address, family: family === 6 ? 6 : 4 };
}

async function resolved(host: string, resolve: Resolve): Promise<readonly TargetAddress[]> {
  const addresses = await resolve(host).catch(() => []);
  if (addresses.length === 0) throw refused("names a host that does not resolve");
  return addresses;
}

/** The URL itself may hold a secret: messages say what is wrong with it, not what it is. */
function refused(why: string): GranaryError {
  return new GranaryError("WEBHOOK_URL_REFUSED", `the webhook's URL ${why}`, { pointer: "/url" });
}

/**
 * Whether an address is reachable for everyone: IPv4 without the special-purpose registry
 * (https://www.iana.org/assignments/iana-ipv4-special-registry), IPv6 global unicast (2000::/3) without its special parts. That leaves out
 * everything that carries an IPv4 address inside: mapped, NAT64, 6to4, Teredo.
 */
export function isPublic(address: string): boolean {
  const family = isIP(address);
  if (family === 4) return !SPECIAL.check(address, "ipv4");
  return family === 6 && GLOBAL.check(address, "ipv6") && !SPECIAL.check(address, "ipv6");
}

const SPECIAL = new BlockList();
for (const [network, prefix] of [
  ["0.0.0.0", 8],
  ["10.0.0.0", 8],
  ["100.64.0.0", 10],
  ["127.0.0.0", 8],
  ["169.254.0.0", 16],
  ["172.16.0.0", 12],
  ["192.0.0.0", 24],
  ["192.0.2.0", 24],
  ["192.31.196.0", 24],
  ["192.52.193.0", 24],
  ["192.88.99.0", 24],
  ["192.168.0.0", 16],
  ["192.175.48.0", 24],
  ["198.18.0.0", 15],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["224.0.0.0", 4],
  ["240.0.0.0", 4],
] as const)
  SPECIAL.addSubnet(network, prefix, "ipv4");
for (const [network, prefix] of [
  ["2001::", 23],
  ["2001:db8::", 32],
  ["2002::", 16],
  ["2620:4f:8000::", 48],
  ["3fff::", 20],
] as const)
  SPECIAL.addSubnet(network, prefix, "ipv6");

const GLOBAL = new BlockList();
GLOBAL.addSubnet("2000::", 3, "ipv6");
