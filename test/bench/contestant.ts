/** One way to take in archives: a tool of others, or a farm. */
export interface Contestant {
  readonly name: string;
  /** What a reader has to know to compare it. */
  readonly note?: string;
  /** Keeps files under their digest, as we do: the targets name these. */
  readonly isStore?: boolean;
  /** Programs and npm packages that have to be there. */
  readonly needs: { readonly programs?: readonly string[]; readonly npm?: readonly string[] };
  /** @param options.folder new, of this contestant alone; `warmUp`: archives that share no file with those of the rounds */
  open(options: { folder: string; cacheFolder: string; warmUp: readonly string[] }): Promise<OpenContestant>;
}

/** Every method throws when what it did has not succeeded. Only `publish` is measured. */
export interface OpenContestant {
  /** Before the first archive of a round: a new store where the contestant's is empty at first. */
  begin?(round: number): Promise<void>;
  prepare?(archive: string): Promise<void>;
  publish(archive: string): Promise<void>;
  close?(): Promise<void>;
}
