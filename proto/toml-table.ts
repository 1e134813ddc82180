import type { GranaryError } from "./errors.ts";
import { locateKey } from "./read-toml.ts";

/** Makes the error of a file. `malformed`: it is not of its form, as opposed to saying something wrong. */
export type Refuse = (
  reason: string,
  at: { readonly line: number; readonly column: number; readonly key: string; readonly malformed: boolean },
) => GranaryError;

/** A table that is read key by key; what was not asked for by its end is unknown. */
export class TomlTable {
  readonly #text: string;
  readonly #refuse: Refuse;
  readonly #path: readonly string[];
  readonly #rest: Map<string, unknown>;

  /** @param of the text that the value was read from, with integers as BigInt @param path of the table in it; none: the whole file */
  constructor(
    of: { readonly text: string; readonly value: unknown; readonly refuse: Refuse },
    path: readonly string[] = [],
  ) {
    this.#text = of.text;
    this.#refuse = of.refuse;
    this.#path = path;
    this.#rest = new Map(Object.entries(of.value as Record<string, unknown>));
  }

  string(key: string): string | undefined {
    return this.#take(key, "a string", (value) => typeof value === "string");
  }

  boolean(key: string): boolean | undefined {
    return this.#take(key, "a boolean", (value) => typeof value === "boolean");
  }

  strings(key: string): readonly string[] | undefined {
    return this.#take(key, "an array of strings", isStrings);
  }

  integer(key: string): bigint | undefined {
    return this.#take(key, "an integer", (value) => typeof value === "bigint");
  }

  unsigned(key: string): bigint | undefined {
    return this.#take(key, "an integer that is not negative", isUnsigned);
  }

  table(key: string): TomlTable | undefined {
    const value = this.#take(key, "a table", isTable);
    return value === undefined ? undefined : this.#child(key, value);
  }

  tables(key: string): readonly TomlTable[] | undefined {
    return this.#take(key, "an array of tables", isTables)?.map((value) => this.#child(key, value));
  }

  /** All keys, whatever their names. */
  allStrings(): [string, string][] {
    return [...this.#rest.keys()].map((key) => [key, this.string(key) as string]);
  }

  end(): void {
    const [key] = this.#rest.keys();
    if (key !== undefined) throw this.fault(`unknown field \`${this.#name(key)}\``, key);
  }

  /** The value of a member that has to be there. */
  required<T>(key: string, value: T | undefined): T {
    if (value === undefined) throw this.fault(`missing field \`${key}\``);
    return value;
  }

  /** The file is not of its form. @param key where; the table itself when there is none */
  fault(reason: string, key?: string): GranaryError {
    return this.#refuse(reason, { ...this.#at(key), malformed: true });
  }

  /** The file is of its form, and what it says is wrong. */
  invalid(reason: string, key?: string): GranaryError {
    return this.#refuse(reason, { ...this.#at(key), malformed: false });
  }

  #at(key: string | undefined): { line: number; column: number; key: string } {
    const path = key === undefined ? this.#path : [...this.#path, key];
    return { ...locateKey(this.#text, path), key: path.join(".").slice(0, 200) };
  }

  #name(key: string): string {
    return [...this.#path, key].join(".").slice(0, 200);
  }

  #child(key: string, value: unknown): TomlTable {
    return new TomlTable({ text: this.#text, refuse: this.#refuse, value }, [...this.#path, key]);
  }

  #take<T>(key: string, what: string, fits: (value: unknown) => value is T): T | undefined {
    const value = this.#rest.get(key);
    this.#rest.delete(key);
    if (value === undefined || fits(value)) return value;
    throw this.fault(`\`${this.#name(key)}\` must be ${what}`, key);
  }
}

function isStrings(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

function isUnsigned(value: unknown): value is bigint {
  return typeof value === "bigint" && value >= 0n;
}

function isTables(value: unknown): value is readonly Record<string, unknown>[] {
  return Array.isArray(value) && value.every(isTable);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}
