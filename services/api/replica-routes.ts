import type { PointerJson } from "../../proto/http-pointer.ts";
import { requireScope } from "../shared/authenticate.ts";
import type { HttpServer } from "../shared/http-server.ts";
import { STATE_VERSION } from "../shared/state-keys.ts";
import type { ApiContext } from "./context.ts";
import { principalOf } from "./request.ts";

/** What operators see of this process's copy of the state. */
export function replicaRoutes(server: HttpServer, context: ApiContext): void {
  server.get("/v1/pointer", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:read");
    return reply.send(pointerJson(context));
  });
}

function pointerJson({ replica }: ApiContext): PointerJson {
  const health = replica.health();
  return {
    up: health.up,
    ...(!health.up && { reason: health.reason }),
    applied_seq: replica.appliedSeq,
    state_version: STATE_VERSION,
    compared: replica.compared ?? null,
    snapshots: replica.snapshots,
  };
}
