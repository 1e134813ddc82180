import type { HttpServer } from "../shared/http-server.ts";
import { accessRoutes } from "./access-routes.ts";
import { backupRoutes } from "./backup-routes.ts";
import { consistentReads } from "./consistent-reads.ts";
import type { ApiContext } from "./context.ts";
import { diffRoute } from "./diff-route.ts";
import { eventRoutes } from "./event-routes.ts";
import { farmRoutes } from "./farm-routes.ts";
import { holdRoutes } from "./hold-routes.ts";
import { liveAtRoute } from "./live-at-route.ts";
import { materializeRoute } from "./materialize-route.ts";
import { orgRoutes } from "./org-routes.ts";
import { pointerRoutes } from "./pointer-routes.ts";
import { previewRoutes } from "./preview-routes.ts";
import { publishRoutes } from "./publish-routes.ts";
import { readRoutes } from "./read-routes.ts";
import { replicaRoutes } from "./replica-routes.ts";
import { retireRoute } from "./retire-route.ts";
import { sessionRoutes } from "./session-routes.ts";
import { trustRoutes } from "./trust-routes.ts";
import { uploadRoutes } from "./upload-routes.ts";
import { UploadSlots } from "./upload-slots.ts";
import { webhookRoutes } from "./webhook-routes.ts";

/** Everything under `/v1`, and the probes. */
export function apiRoutes(server: HttpServer, context: ApiContext): void {
  consistentReads(server, context);
  const slots = new UploadSlots();
  publishRoutes(server, context, slots);
  uploadRoutes(server, context, slots);
  pointerRoutes(server, context);
  holdRoutes(server, context);
  retireRoute(server, context);
  previewRoutes(server, context);
  sessionRoutes(server, context);
  readRoutes(server, context);
  liveAtRoute(server, context);
  diffRoute(server, context);
  materializeRoute(server, context);
  eventRoutes(server, context);
  accessRoutes(server, context);
  trustRoutes(server, context);
  orgRoutes(server, context);
  webhookRoutes(server, context);
  farmRoutes(server, context);
  replicaRoutes(server, context);
  backupRoutes(server, context);
}
