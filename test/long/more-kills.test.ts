/** Tests of the normal suite with more of what they do. */
process.env["GRANARY_KILLS"] ??= "20";
process.env["GRANARY_MANY_FILES"] ??= "50000";
await import("../e2e/crash.test.ts");
await import("../e2e/directory-cli.test.ts");
await import("../services/pointer/replica.test.ts");
await import("../store/crash.test.ts");

export {};
