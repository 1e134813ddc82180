import assert from "node:assert/strict";
import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { test } from "node:test";
import { LIMITS } from "../../../proto/limits.ts";
import { closeHttpServer, createHttpServer } from "../../../services/shared/http-server.ts";
import { createLog } from "../../../services/shared/log.ts";

test("an answer that its client does not take is cut off, and a request that waits for its answer is not", async () => {
  const server = createHttpServer({ log: createLog({ level: "fatal", name: "test" }) });
  let socket: Socket | undefined;
  let whileWaiting: number | undefined;
  server.get("/endless", async (request, reply) => {
    socket = request.raw.socket;
    whileWaiting = socket.timeout;
    return reply.send(
      new Readable({
        read() {
          this.push(Buffer.alloc(65_536));
        },
      }),
    );
  });
  const url = await server.listen({ host: "127.0.0.1", port: 0 });
  try {
    const { status } = await fetch(`${url}/endless`);
    assert.equal(status, 200);
    assert.equal(whileWaiting || 0, 0);
    assert.equal(socket?.timeout, LIMITS.answerIdleMs);
  } finally {
    await closeHttpServer(server, 0);
  }
});
