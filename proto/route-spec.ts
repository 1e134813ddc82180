import type { z } from "zod";
import type { ANSWER_SHAPES } from "./answer-shapes.ts";
import type { ErrorCode } from "./errors.ts";
import type { Scope } from "./records.ts";

export type ShapeName = keyof typeof ANSWER_SHAPES;

/** What an answer carries: one shape, a page of them (`{items, next_cursor}`), something that is not JSON, or nothing. */
export type AnswerSpec =
  | ShapeName
  | { readonly page: ShapeName }
  | { readonly media: string; readonly description: string }
  | null;

/** One route as `/openapi.json` tells it. */
export interface RouteSpec {
  /** `METHOD path`, parameters in braces. */
  readonly route: string;
  readonly summary: string;
  /** Any one of these scopes opens it; `token`: every token does; `public`: none is asked for. */
  readonly access: readonly Scope[] | "token" | "public";
  /** Parameters of the query and of headers; a header's name begins with a capital. */
  readonly parameters?: Readonly<Record<string, z.ZodType>>;
  /** JSON that is validated by this very schema, or a stream. */
  readonly body?: z.ZodType | { readonly media: string; readonly description: string };
  readonly answers: Readonly<Record<number, AnswerSpec>>;
  /** Codes beside those that follow from the access, the path and the body. */
  readonly errors?: readonly ErrorCode[];
}

type Rest = Omit<RouteSpec, "route" | "summary" | "access" | "answers">;

/** One row of the table of routes. */
export function route(
  line: string,
  summary: string,
  access: RouteSpec["access"],
  answers: RouteSpec["answers"],
  rest: Rest = {},
): RouteSpec {
  return { route: line, summary, access, answers, ...rest };
}
