import { createPrivateKey, createPublicKey, type KeyObject, sign } from "node:crypto";

/**
 * An Ed25519 key of NATS (nkey) from its seed in text form, with node's Ed25519: a signature takes 0.06 ms of the thread, one of tweetnacl's,
 * which the client's own authenticator has, 9 ms, and its public key as much.
 */
export class NatsKey {
  readonly publicKey: string;
  readonly #key: KeyObject;

  /** @param seed base32 of two bytes that say what the key is for, 32 of the key, and a crc16 */
  constructor(seed: Uint8Array) {
    const raw = fromBase32(Buffer.from(seed).toString("ascii").trim());
    const der = Buffer.concat([ED25519_PKCS8, raw.subarray(2, 34)]);
    this.#key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
    const { x } = createPublicKey(this.#key).export({ format: "jwk" });
    const role = ((raw[0] ?? 0) << 5) | ((raw[1] ?? 0) >> 3);
    const named = Buffer.concat([Buffer.from([role & 0xff]), Buffer.from(x ?? "", "base64url")]);
    const crc = Buffer.alloc(2);
    crc.writeUInt16LE(crc16(named));
    this.publicKey = toBase32(Buffer.concat([named, crc]));
  }

  /** In base64url, as NATS takes it for nonces and in its JWTs. */
  sign(text: string): string {
    return sign(null, Buffer.from(text), this.#key).toString("base64url");
  }
}

/** What stands before the 32 bytes of an Ed25519 key in PKCS #8 (RFC 8410). */
const ED25519_PKCS8 = Buffer.from("302e020100300506032b657004220420", "hex");
const BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

function fromBase32(text: string): Buffer {
  const bits = [...text].map((char) => BASE32.indexOf(char).toString(2).padStart(5, "0")).join("");
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
}

/** Of bytes whose bits are a multiple of 5. */
function toBase32(bytes: Uint8Array): string {
  const bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, "0")).join("");
  return bits.replace(/.{5}/g, (five) => BASE32[Number.parseInt(five, 2)] ?? "");
}

/** CRC-16/XMODEM. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ ((crc & 0x8000) === 0 ? 0 : 0x1021)) & 0xffff;
  }
  return crc;
}
