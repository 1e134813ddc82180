import type { Store } from "../../store/store.ts";
import type { NatsServer } from "../shared/nats-server.ts";
import type { Replica } from "../shared/replica.ts";
import type { DiskGuard } from "./disk-guard.ts";

const FAILURE_POLL_MS = 500;

/** A failed sync is never retried: the process ends, and recovery starts from what is durable. */
export function failureOf(...parts: readonly { readonly failed: Error | undefined }[]): Promise<Error> {
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const failure = parts.find(({ failed }) => failed !== undefined)?.failed;
      if (failure === undefined) return;
      clearInterval(timer);
      resolve(failure);
    }, FAILURE_POLL_MS);
    timer.unref();
  });
}

/** Why a farm should get no requests now: what `/readyz` answers. */
export function problemsOf(options: {
  parts: { readonly replica: Replica; readonly server: NatsServer | undefined };
  store: Store;
  disk: DiskGuard;
  closing: boolean;
}): string[] {
  const { parts, store, disk, closing } = options;
  const health = parts.replica.health();
  return [
    ...(closing ? ["shutting down"] : []),
    ...(parts.server?.state === "down" ? ["nats-server is restarting"] : []),
    ...(health.up || health.busy ? [] : [`pointer: ${health.reason}`]),
    ...(store.failed === undefined ? [] : ["the store cannot write"]),
    ...(disk.isThere ? [] : ["the data folder is gone"]),
  ];
}
