import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { CloudEvent } from "../../proto/events.ts";

/** A receiver as a user writes one: verifies the signature, refuses old messages, knows what it has seen. */
export class WebhookReceiver {
  status = 204;
  readonly got: CloudEvent[] = [];
  readonly attempts: string[] = [];
  secret = "";
  readonly #server: Server;

  constructor() {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks).toString("utf8");
        const [id, timestamp, signature] = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(
          (name) => String(request.headers[name]),
        );
        const key = Buffer.from(this.secret.slice("whsec_".length), "base64");
        const expected = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
        const fresh = Math.abs(Date.now() / 1000 - Number(timestamp)) < 300;
        this.attempts.push(String(id));
        if (signature !== `v1,${expected}` || !fresh) return response.writeHead(401).end();
        const event = JSON.parse(body) as CloudEvent;
        assert.equal(event.id, id);
        if (this.status < 300 && !this.got.some((seen) => seen.id === id)) this.got.push(event);
        return response.writeHead(this.status).end();
      });
    });
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/hook`;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  types(project: string): string[] {
    return this.got
      .filter((event) => event.source.endsWith(`/${project}`))
      .map((event) => event.type.replace(/^dev\.granary\.(.*)\.v1$/, "$1"));
  }
}
