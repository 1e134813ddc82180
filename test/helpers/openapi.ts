import { renderOpenApi } from "../../services/api/render-openapi.ts";

/** `/openapi.json` as tests read it. */
export interface Operation {
  readonly operationId: string;
  readonly security: readonly Record<string, readonly string[]>[];
  readonly parameters: readonly { name: string; in: string }[];
  readonly responses: Record<string, { content?: Record<string, { schema?: object }>; $ref?: string }>;
}

export const OPENAPI = renderOpenApi("1.2.3") as {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, object>; responses: Record<string, object> };
};

/** Every operation under `METHOD path`. */
export const OPERATIONS: readonly { readonly line: string; readonly operation: Operation }[] = Object.entries(
  OPENAPI.paths,
).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({
    line: `${method.toUpperCase()} ${path}`,
    operation,
  })),
);

/** fastify's spelling as OpenAPI's. */
export function openApiSpelling(route: string): string {
  return route
    .replaceAll("(^[^:]+)", "")
    .replaceAll("::", "\u0000")
    .replaceAll(/:([a-z]+)/g, "{$1}")
    .replaceAll("\u0000", ":");
}

/** Whatever is below `/v2/` is one route to fastify. */
export const asRegistered = (line: string): string => line.replace(/ \/v2\/.*/, " /v2/*");
