import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { LIMITS } from "../../../proto/limits.ts";
import type { Name } from "../../../proto/names.ts";
import type { AuditRecord, PreviewRecord, ProjectRecord, ReleaseRecord } from "../../../proto/records.ts";
import { fullPage } from "../../../services/api/full-page.ts";
import { tagsBehind } from "../../../services/registry/tags-behind.ts";
import { KEYS } from "../../../services/shared/state-keys.ts";
import { listAudit, type PageOptions } from "../../../services/shared/state-queries.ts";
import { MemoryState } from "../../helpers/memory-state.ts";

const ORG = "acme" as Name;
const [BUSY, RARE] = ["busy" as Name, "rare" as Name];

function auditRow(state: MemoryState, seq: number, project: Name): void {
  state.put(KEYS.audit(ORG, { seq, k: 0 }), { request_id: String(seq), project } as unknown as AuditRecord);
}

/** The rows of a project over all its pages, and how many pages there were. */
async function allPages(state: MemoryState, project: Name, between: () => void = () => {}) {
  const seqs: number[] = [];
  let cursor: string | null | undefined;
  let pages = 0;
  do {
    const asked = { limit: 7, ...(typeof cursor === "string" ? { cursor } : {}) };
    const page = await fullPage(asked, (part: PageOptions) => listAudit(state, ORG, { ...part, project }));
    seqs.push(...page.items.map((row) => Number(row.request_id)));
    pages += 1;
    cursor = page.next_cursor;
    between();
  } while (cursor !== null);
  return { seqs, pages };
}

test("a project's rows in the audit of a busy org are all found, each once, in few pages, while new ones come", async () => {
  const state = new MemoryState();
  const rare = new Set([1, 2, 3, 4_000, 15_000, 24_999, 25_000]);
  for (let seq = 1; seq <= 25_000; seq++) auditRow(state, seq, rare.has(seq) ? RARE : BUSY);
  let next = 25_001;
  const { seqs, pages } = await allPages(state, RARE, () => auditRow(state, next++, RARE));
  assert.deepEqual(
    seqs,
    [...rare].sort((a, b) => b - a),
    "newest first; what came meanwhile is in front of the first page",
  );
  const needed = Math.ceil(25_000 / (LIMITS.scannedRows * LIMITS.scansPerPage));
  assert.ok(pages <= needed + 1, `${pages} pages`);
  assert.equal((await allPages(state, "none" as Name)).seqs.length, 0);
});

test("one look at a list reads a bounded number of rows, and its cursor leads on", () => {
  const state = new MemoryState();
  for (let seq = 1; seq <= 3_000; seq++) auditRow(state, seq, BUSY);
  const page = listAudit(state, ORG, { project: RARE });
  assert.equal(page.items.length, 0);
  assert.ok(page.next_cursor?.startsWith("000000000002001/"), String(page.next_cursor));
  const foreign = String(page.next_cursor).replace("2001", "2002");
  for (const cursor of ["~", "a b", "../x\0", "x".repeat(301), "", "banana", "0", foreign])
    assert.throws(() => listAudit(state, ORG, { cursor }), { code: "USAGE", detail: { pointer: "?cursor" } });
  assert.throws(() => listAudit(state, "other" as Name, { cursor: String(page.next_cursor) }), {
    code: "USAGE",
  });
  // One whose row is gone is a place like any other.
  assert.equal(listAudit(state, ORG, { after: "zzz", limit: 1 }).items[0]?.request_id, "3000");
  assert.equal(listAudit(state, ORG, { after: "0" }).items.length, 0);
});

test("tags are listed in lexical order from any place on, whichever releases are kept and previews live", async () => {
  const names = fc.constantFrom(..."a a-b ab b1 v v1 zz".split(" "));
  const last = fc.oneof(
    fc.constantFrom("", "current", "preview-", "preview-a", "preview-~", "v", "vx", "w", "A"),
    fc.nat(300).map((version) => `v${version}`),
    names.map((name) => `preview-${name}`),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.nat(130),
      fc.uniqueArray(fc.integer({ min: 1, max: 130 })),
      fc.dictionary(names, fc.constantFrom("ready", "expired")),
      last,
      fc.integer({ min: 1, max: 200 }),
      async (newest, retired, previews, behind, count) => {
        const at = { org: ORG, project: BUSY };
        const state = new MemoryState();
        const current = newest === 0 ? null : `v${newest}`;
        state.put(KEYS.project(at), { ...at, current, last_version: newest } as unknown as ProjectRecord);
        const tags = current === null ? [] : ["current"];
        for (let version = 1; version <= newest; version++) {
          const kept = version === newest || !retired.includes(version);
          const release = { version: `v${version}`, state: kept ? "ready" : "retired" };
          state.put(KEYS.release(at, version), release as unknown as ReleaseRecord);
          if (kept) tags.push(release.version);
        }
        for (const [name, state_] of Object.entries(previews)) {
          const preview = { name, state: state_ } as unknown as PreviewRecord;
          state.put(KEYS.preview(at, name as Name), preview);
          if (state_ === "ready") tags.push(`preview-${name}`);
        }
        const found = await tagsBehind({ read: (body) => body(state) }, at, { last: behind, count });
        const expected = tags.sort().filter((tag) => tag > behind);
        assert.deepEqual(found, expected.slice(0, count));
      },
    ),
  );
});
