import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import { test } from "node:test";
import { GranaryError } from "../../../proto/errors.ts";
import type { Name } from "../../../proto/names.ts";
import { BoundedPulls } from "../../../services/registry/bounded-pulls.ts";

const [A, B] = ["a", "b"] as unknown as readonly [Name, Name];

class Answer extends EventEmitter {
  destroyed = false;
}

test("an org has so many pulls at once, leaves room for the next, and gets back what is over", () => {
  const pulls = new BoundedPulls(4);
  const answers = [new Answer(), new Answer(), new Answer()];
  for (const answer of answers) pulls.begin(A, answer);
  const isLimited = (error: unknown) => error instanceof GranaryError && error.code === "RATE_LIMITED";
  assert.throws(() => pulls.begin(A, new Answer()), isLimited);
  pulls.begin(B, new Answer());
  answers[0]?.emit("close");
  answers[0]?.emit("close");
  answers[1]?.emit("close");
  pulls.begin(A, new Answer());
});

test("a pull whose client is gone before it begins counts nothing", () => {
  const pulls = new BoundedPulls(4);
  const gone = new Answer();
  gone.destroyed = true;
  for (let i = 0; i < 10; i++) pulls.begin(A, gone);
  pulls.begin(A, new Answer());
});
