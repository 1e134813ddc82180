declare const valueType: unique symbol;

/** A key of the state that carries the type of its value. ASCII, so that every ordered map sorts it alike. */
export type StateKey<T> = string & { readonly [valueType]: T };

/** Keys from `start` (included) to `end` (excluded), whichever way they are walked. */
export interface KeyRange<T> {
  readonly start: StateKey<T>;
  readonly end: string;
}

export interface RangeOptions {
  /** From the last key to the first. */
  readonly reverse?: boolean;
  /** Rows at most. */
  readonly limit?: number;
  /** Only keys strictly behind this one, in the direction of the walk: how a list goes on. */
  readonly after?: string;
}

export interface StateRow<T> {
  readonly key: string;
  readonly value: T;
}

/** Reads of one moment of the state. */
export interface StateView {
  get<T>(key: StateKey<T>): T | undefined;
  /** Rows in key order. Walk it within the call that made it. */
  range<T>(range: KeyRange<T>, options?: RangeOptions): Iterable<StateRow<T>>;
}

/** One atomic change of the state: an ordered map of string keys to JSON values, and nothing else. */
export interface StateTx extends StateView {
  put<T>(key: StateKey<T>, value: T): void;
  remove(key: StateKey<unknown>): void;
}
