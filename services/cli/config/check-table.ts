/**
 * Checks of the CLI's two small files, by hand: loading a library of schemas takes 85 ms of CPU, as long as all else that a command
 * needs before it begins.
 */

/** What is wrong, behind the key that it is wrong at. */
export class WrongValue extends Error {
  constructor(key: string, what: string) {
    super(`${key === "" ? "" : `${key}: `}${what}`);
  }
}

/** Takes a value as it stands in the file, and the key that errors name. @throws WrongValue */
export type Check<T> = (value: unknown, key: string) => T;

/** A table with these keys and no others. */
export function tableOf<T>(checks: { readonly [K in keyof T]-?: Check<T[K]> }): Check<T> {
  return (value, key) => {
    const table = anyTable(value, key);
    const known = Object.keys(checks) as (keyof T & string)[];
    const stranger = Object.keys(table).find((name) => !known.includes(name as keyof T & string));
    if (stranger !== undefined) throw new WrongValue(below(key, stranger), "is not known here");
    const checked = known.map((name) => [name, checks[name](table[name], below(key, name))] as const);
    return Object.fromEntries(checked.filter(([, one]) => one !== undefined)) as T;
  };
}

/** A table with any keys. */
export function recordOf<T>(check: Check<T>): Check<Record<string, T>> {
  return (value, key) =>
    Object.fromEntries(
      Object.entries(anyTable(value, key)).map(([name, one]) => [name, check(one, below(key, name))]),
    );
}

/** A key that may be left out. */
export function optional<T>(check: Check<T>): Check<T | undefined> {
  return (value, key) => (value === undefined ? undefined : check(value, key));
}

export const text: Check<string> = (value, key) => {
  if (typeof value !== "string") throw new WrongValue(key, "has to be a text");
  return value;
};

export const someText: Check<string> = (value, key) => {
  const given = text(value, key);
  if (given === "") throw new WrongValue(key, "must not be empty");
  return given;
};

export const httpUrl: Check<string> = (value, key) => {
  const given = text(value, key);
  if (!URL.canParse(given) || !/^https?:$/.test(new URL(given).protocol))
    throw new WrongValue(key, "has to be a url that begins with http:// or https://");
  return given;
};

function anyTable(value: unknown, key: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new WrongValue(key, "has to be a table");
  return value as Record<string, unknown>;
}

function below(key: string, name: string): string {
  return key === "" ? name : `${key}.${name}`;
}
