import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { z } from "zod";
import { CD_EVENTS, renderEvent } from "../../proto/cd-events.ts";
import { type CloudEvent, EVENT_TYPES, type EventRecord, toCloudEvent } from "../../proto/events.ts";

interface Golden {
  readonly event: EventRecord;
  readonly cdevents: CloudEvent;
}
interface CdEvent {
  readonly context: Readonly<Record<string, string>>;
  readonly subject: { readonly id: string };
}

const golden = JSON.parse(readFileSync("test/golden/cdevents.json", "utf8")) as readonly Golden[];
const schemas = JSON.parse(readFileSync("test/golden/cdevents-schemas.json", "utf8")) as Readonly<
  Record<string, Parameters<typeof z.fromJSONSchema>[0]>
>;
const isCdEvent = ({ type }: CloudEvent): boolean => type.startsWith("dev.cdevents.");

test("every event type has the CDEvents rendering that subscribers know it by", () => {
  for (const { event, cdevents } of golden) assert.deepEqual(renderEvent(event, "cdevents"), cdevents);
  assert.deepEqual(new Set(golden.map(({ event }) => event.type)), new Set(Object.keys(EVENT_TYPES)));
});

test("a rendering has the members that the schema of its type requires, and no others", () => {
  const rendered = golden.map(({ cdevents }) => cdevents).filter(isCdEvent);
  for (const { type, data } of rendered) {
    const schema = schemas[type];
    assert.ok(schema !== undefined, `${type} is not in CDEvents`);
    z.fromJSONSchema(schema).parse(data);
  }
  const table = Object.values(CD_EVENTS).flatMap((types) => types.map((type) => `dev.cdevents.${type}`));
  assert.deepEqual(new Set(rendered.map(({ type }) => type)), new Set(table), "each of the table occurs");
});

test("a rendering is bound as the CloudEvents binding of CDEvents says, and what has no word there is not touched", () => {
  for (const { event } of golden) {
    const [own, other] = [toCloudEvent(event), renderEvent(event, "cdevents")];
    assert.deepEqual(renderEvent(event, "granary"), own);
    assert.equal(isCdEvent(other), event.type in CD_EVENTS);
    if (!isCdEvent(other)) {
      assert.deepEqual(other, own);
      continue;
    }
    const { context, subject } = other.data as unknown as CdEvent;
    assert.deepEqual(
      [other.id, other.source, other.type, other.time, other.subject],
      [context["id"], context["source"], context["type"], context["timestamp"], subject.id],
    );
    const { type, data, subject: about } = own;
    assert.deepEqual(other, { ...own, type: other.type, subject: subject.id, data: other.data });
    assert.deepEqual(other.data["customData"], { type, subject: about, data });
  }
  assert.equal(new Set(golden.map(({ cdevents }) => cdevents.id)).size, golden.length);
});
