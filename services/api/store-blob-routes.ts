import { type Digest, parseDigest } from "../../proto/digest.ts";
import { GranaryError } from "../../proto/errors.ts";
import type { StoreBlobJson } from "../../proto/http-store.ts";
import { requireScope } from "../shared/authenticate.ts";
import { type HttpRequest, type HttpServer, leaveUnreadBody, sendContinue } from "../shared/http-server.ts";
import { refuseWhenUnwell } from "./accept-publish.ts";
import type { ApiContext } from "./context.ts";
import { LostContent } from "./lost-content.ts";
import { principalOf } from "./request.ts";
import type { UploadSlots } from "./upload-slots.ts";

/** Blobs as they are, between farms: one gives what another has lost. Over all orgs, so for those who run the farm only. */
export function storeBlobRoutes(server: HttpServer, context: ApiContext, slots: UploadSlots): void {
  const lost = new LostContent(context);

  server.post("/v1/store::heal", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:admin");
    return reply.send(await lost.find());
  });

  server.get("/v1/store/blobs/:digest", async (request, reply) => {
    requireScope(principalOf(context, request), "farm:admin");
    const digest = digestOf(request);
    // A layer is computed: what it is computed from is stored.
    if (context.store.stat(digest)?.kind === "layer")
      throw new GranaryError("BLOB_UNKNOWN", `${digest} is a layer, which is computed from a listing`, {
        digest,
      });
    const { size, stream } = await context.store.openContent(digest);
    return reply.type("application/octet-stream").header("content-length", size).send(stream);
  });

  server.put("/v1/store/blobs/:digest", async (request, reply) => {
    const principal = principalOf(context, request);
    requireScope(principal, "farm:admin");
    const digest = digestOf(request);
    const stored = context.store.stat(digest);
    if (stored !== undefined) {
      leaveUnreadBody(request, reply);
      const answer: StoreBlobJson = { digest, size: stored.size, existing: true };
      return reply.send(answer);
    }
    lost.assertWanted(digest);
    refuseWhenUnwell(context);
    const size = await slots.use(principal.org, () => {
      sendContinue(request, reply);
      return lost.receive(digest, request.raw);
    });
    const answer: StoreBlobJson = { digest, size, existing: false };
    return reply.code(201).send(answer);
  });
}

function digestOf(request: HttpRequest): Digest {
  return parseDigest((request.params as { digest: string }).digest);
}
