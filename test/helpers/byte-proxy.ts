import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that counts what goes to the farm, and breaks connections when it is told to. */
export interface ByteProxy {
  readonly url: string;
  /** Bytes of clients so far, HTTP headers included. */
  readonly sentBytes: number;
  /** Connections from now on go to another farm. */
  target(url: string): void;
  /** Resets every open connection once this many more bytes have gone through. */
  breakAfter(bytes: number, onBreak?: () => void): void;
  close(): Promise<void>;
}

export async function startByteProxy(farmUrl: string): Promise<ByteProxy> {
  let port = Number(new URL(farmUrl).port);
  let sentBytes = 0;
  let breakAt = Number.POSITIVE_INFINITY;
  let broken: (() => void) | undefined;
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    const end = (): void => {
      client.destroy();
      upstream.destroy();
      sockets.delete(client);
    };
    sockets.add(client);
    client.on("error", end).on("close", end);
    upstream.on("error", end).on("close", end);
    upstream.pipe(client);
    client.on("data", (chunk) => {
      sentBytes += chunk.byteLength;
      if (!upstream.write(chunk)) {
        client.pause();
        upstream.once("drain", () => client.resume());
      }
      if (sentBytes < breakAt) return;
      breakAt = Number.POSITIVE_INFINITY;
      for (const socket of sockets) socket.resetAndDestroy();
      broken?.();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get sentBytes() {
      return sentBytes;
    },
    target: (url) => {
      port = Number(new URL(url).port);
    },
    breakAfter: (bytes, onBreak) => {
      breakAt = sentBytes + bytes;
      broken = onBreak;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
