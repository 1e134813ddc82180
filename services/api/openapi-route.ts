import type { HttpServer } from "../shared/http-server.ts";
import type { ApiContext } from "./context.ts";
import { renderOpenApi } from "./render-openapi.ts";

/** The API describes itself, to everybody: it tells nothing of what the farm holds. */
export function openApiRoute(server: HttpServer, context: ApiContext): void {
  let document: string | undefined;
  server.get("/openapi.json", async (_request, reply) => {
    document ??= JSON.stringify(renderOpenApi(context.version));
    return reply.type("application/json").send(document);
  });
}
