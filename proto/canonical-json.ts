/**
 * The only JSON encoder whose output is hashed: keys sorted by UTF-16 code units as in RFC 8785 (JCS), no white space.
 * Numbers must be safe integers (nothing we hash has fractions), strings must be well-formed Unicode.
 */
export type CanonicalValue =
  | string
  | number
  | boolean
  | null
  | readonly CanonicalValue[]
  | { readonly [key: string]: CanonicalValue | undefined };

/** Encodes `value`; members that are `undefined` are left out. @throws RangeError on values without one encoding */
export function encodeCanonicalJson(value: CanonicalValue): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value)) throw new RangeError(`not a safe integer: ${value}`);
    return String(value === 0 ? 0 : value);
  }
  if (typeof value === "string") {
    if (!value.isWellFormed()) throw new RangeError("a string has a lone surrogate");
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(encodeCanonicalJson).join(",")}]`;
  const members = Object.entries(value as { readonly [key: string]: CanonicalValue | undefined })
    .filter((member): member is [string, CanonicalValue] => member[1] !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([key, member]) => `${encodeCanonicalJson(key)}:${encodeCanonicalJson(member)}`);
  return `{${members.join(",")}}`;
}
