import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A TCP proxy on loopback that counts what goes to the farm, and breaks connections when it is told to. */
export interface ByteProxy {
  readonly url: string;
  /** Bytes of clients so far, HTTP headers included. */
  readonly sentBytes: number;
  /** What farms have answered so far. */
  readonly answered: string;
  /** Connections from now on go to another farm. */
  target(url: string): void;
  /**
   * Resets every open connection once this many more bytes have gone through, and `arrived` says that the farm has read them:
   * what waits in a socket's buffers, which may be megabytes, is lost with the connection and not the farm's.
   */
  breakAfter(bytes: number, arrived: () => Promise<void>): void;
  /** Resets every open connection. */
  breakNow(): void;
  close(): Promise<void>;
}

export async function startByteProxy(farmUrl: string): Promise<ByteProxy> {
  let port = Number(new URL(farmUrl).port);
  let sentBytes = 0;
  let answered = "";
  let isBreaking = false;
  let breakAt = Number.POSITIVE_INFINITY;
  let arrived: () => Promise<void> = async () => undefined;
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
    upstream.on("data", (chunk) => {
      answered += chunk.toString("latin1");
    });
    upstream.pipe(client);
    client.on("data", (chunk) => {
      sentBytes += chunk.byteLength;
      if (!upstream.write(chunk)) {
        client.pause();
        upstream.once("drain", () => {
          if (!isBreaking) client.resume();
        });
      }
      if (sentBytes < breakAt) return;
      breakAt = Number.POSITIVE_INFINITY;
      isBreaking = true;
      for (const socket of sockets) socket.pause();
      void arrived().then(() => {
        isBreaking = false;
        for (const socket of sockets) socket.resetAndDestroy();
      });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get sentBytes() {
      return sentBytes;
    },
    get answered() {
      return answered;
    },
    target: (url) => {
      port = Number(new URL(url).port);
    },
    breakAfter: (bytes, whenArrived) => {
      breakAt = sentBytes + bytes;
      arrived = whenArrived;
    },
    breakNow: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
