import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Ledger } from "granary";

/** A transaction: what was read, which has to be still so at its end, and what it writes. */
export interface RemoteTx {
  source: string;
  version: number;
  number: number | undefined;
  cursor: string | undefined;
  readonly effects: string[];
}

interface Row {
  version: number;
  number?: number;
  cursor?: string;
  readonly effects: string[];
}

/** Effects and numbers in one place, as a database that replicas in several processes share: serializable, by versions. */
export class LedgerServer {
  readonly #rows = new Map<string, Row>();
  readonly #server: Server;

  private constructor() {
    this.#server = createServer(async (request, response) => {
      const text = (await request.toArray()).join("");
      if (request.method === "GET") {
        const { version, number, cursor } = this.#row(decodeURIComponent(request.url?.slice(1) ?? ""));
        response.end(JSON.stringify({ version, number, cursor }));
        return;
      }
      response.writeHead(this.#commit(JSON.parse(text) as RemoteTx) ? 200 : 409).end();
    });
  }

  static async start(): Promise<LedgerServer> {
    const ledger = new LedgerServer();
    await once(ledger.#server.listen(0, "127.0.0.1"), "listening");
    return ledger;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What had its effect, in order. */
  effects(source: string): readonly string[] {
    return this.#row(source).effects;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  #commit(tx: RemoteTx): boolean {
    const row = this.#row(tx.source);
    if (row.version !== tx.version) return false;
    row.version += 1;
    row.effects.push(...tx.effects);
    Object.assign(row, { number: tx.number, cursor: tx.cursor });
    return true;
  }

  #row(source: string): Row {
    const row = this.#rows.get(source) ?? { version: 0, effects: [] };
    this.#rows.set(source, row);
    return row;
  }
}

/** The ledger of one of the replicas. */
export function remoteLedger(url: string): Ledger<RemoteTx> {
  return {
    transaction: async (body) => {
      for (;;) {
        const tx = { source: "", version: 0, number: undefined, cursor: undefined, effects: [] };
        const result = await body(tx);
        const { ok } = await fetch(url, { method: "POST", body: JSON.stringify(tx) });
        // Another replica was faster: what was read is no longer so.
        if (ok) return result;
      }
    },
    lastNumber: async (tx, source) => {
      const row = await (await fetch(`${url}/${encodeURIComponent(source)}`)).json();
      Object.assign(tx, row, { source });
      return tx.number;
    },
    lastCursor: (tx) => tx.cursor,
    setLastNumber: (tx, _source, number, cursor) => {
      Object.assign(tx, { number, cursor });
    },
  };
}
